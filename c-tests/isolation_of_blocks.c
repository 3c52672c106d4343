/* expect: exit 0
   under: nothing
   under: GLEBE_HARDENED=1
   under: GLEBE_SOURCE=mmap
   under: GLEBE_PAGE_SIZE=2M
   under: GLEBE_BUDGET=48M
   After a fork parent and child have the same blocks with the same contents, and neither ever sees
   what the other writes to them, frees or allocates: small, medium and large ones, in memory or, under
   a budget, out of it. */
#include "isolation.h"

enum { BLOCKS = 3000, LARGE = 20 };

static unsigned char *block[BLOCKS + LARGE];

static size_t size_of(int i)
{
    return i >= BLOCKS ? 4 * MIB : i % 100 == 0 ? 100 * KIB : 16 + (size_t)i;
}

static void write_all(int seed)
{
    for (int i = 0; i < BLOCKS + LARGE; i++)
        fill(block[i], size_of(i), seed + i);
}

static void all_hold(int seed)
{
    for (int i = 0; i < BLOCKS + LARGE; i++)
        CHECK(holds(block[i], size_of(i), seed + i));
}

int main(void)
{
    struct turns parent, other;
    open_turns(&parent, &other);
    for (int i = 0; i < BLOCKS + LARGE; i++)
        CHECK((block[i] = malloc(size_of(i))));
    write_all(1);
    pid_t child = fork();
    if (child == 0) {
        all_hold(1);
        write_all(50);
        pass(&other);
        await(&other);
        /* The parent has written meanwhile, and freed. */
        all_hold(50);
        for (int i = 0; i < BLOCKS + LARGE; i++)
            free(block[i]);
        pass(&other);
        await(&other);
        _exit(0);
    }
    CHECK(child > 0);
    await(&parent);
    all_hold(1);
    write_all(90);
    for (int i = 0; i < BLOCKS; i += 2) {
        free(block[i]);
        CHECK((block[i] = malloc(size_of(i))));
        fill(block[i], size_of(i), 90 + i);
    }
    pass(&parent);
    await(&parent);
    all_hold(90);
    pass(&parent);
    ends_well(child);
    return 0;
}
