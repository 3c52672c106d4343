/* expect: exit 0
   modes: link static
   under: nothing
   under: GLEBE_HARDENED=1
   under: GLEBE_SOURCE=break
   The section's end moves by any number of bytes, up and down, beside the heap and the program
   break; the contents stay and what comes in is zero, whatever was there before. */
#include "churn.h"
#include "glebe.h"
#include <sys/wait.h>

static int is_zero(const char *bytes, size_t size)
{
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

int main(void)
{
    char *start = glebe_sbrk(0);
    CHECK(start != (void *)-1 && (uintptr_t)start % sysconf(_SC_PAGESIZE) == 0);
    CHECK(glebe_address_kind(start) == GLEBE_KIND_NOT_OURS);

    uint64_t random = 11;
    size_t size = 0;
    unsigned seed = 1;
    for (int i = 0; i < 3000; i++) {
        errno = 77;
        for (int j = 0; j < 10; j++)
            churn_step(&random, 40 * KIB);
        char *own_break = i % 100 == 0 ? sbrk(4096) : NULL;
        size_t next = next_random(&random) % (i % 50 == 0 ? 8 * MIB : 40 * KIB);
        CHECK(holds(start, size, seed));
        if (next >= size) {
            CHECK(glebe_sbrk((intptr_t)(next - size)) == start + size);
            CHECK(is_zero(start + size, next - size));
        } else if (next_random(&random) % 2) {
            CHECK(glebe_sbrk(-(intptr_t)(size - next)) == start + size);
        } else {
            CHECK(glebe_brk(start + next) == 0);
        }
        CHECK(holds(start, next < size ? next : size, seed));
        CHECK(glebe_sbrk(0) == start + next);
        size = next;
        seed = seed % 250 + 1;
        fill(start, size, seed);
        if (own_break)
            fill(own_break, 4096, 3);
    }

    /* What contracts is given back. */
    CHECK(glebe_brk(start + 64 * MIB) == 0);
    fill(start, 64 * MIB, 9);
    size_t before = resident_bytes();
    CHECK(glebe_brk(start + 1) == 0);
    CHECK(before - resident_bytes() > 60 * MIB);
    CHECK(start[0] == 9);
    for (int i = 0; i < CHURN_SLOTS; i++)
        churn_destroy(churn_slot[i]);
    return 0;
}
