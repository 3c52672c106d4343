/* expect: exit 0
   modes: link static
   A private region is one process's alone: a child after fork has nothing at its addresses and no
   handle to it, may have a region of its own there, and neither sees the other's writes, in memory or
   evicted. */
#include "isolation.h"
#include "region.h"
#include "touch.h"
#include <sys/mman.h>

enum { SIZE = 8 << 20, UNIT = 16 << 10 };

static void write_all(char *base, size_t seed)
{
    for (size_t at = 0; at < SIZE; at += 8)
        *(size_t *)(base + at) = at * 31 + seed;
}

static int all_hold(const char *base, size_t seed)
{
    for (size_t at = 0; at < SIZE; at += 8)
        if (*(const size_t *)(base + at) != at * 31 + seed)
            return 0;
    return 1;
}

static void of_kind(int kind)
{
    struct turns parent, other;
    open_turns(&parent, &other);
    glebe_region_options options = region_options(SIZE, 2 * MIB);
    options.page_size = UNIT;
    options.kind = kind;
    if (kind == GLEBE_REGION_FILE)
        options.file = region_file(SIZE, 0);
    glebe_region region;
    char *base = create_region(&options, &region);
    write_all(base, 1);
    pid_t child = fork();
    if (child == 0) {
        unsigned char resident;
        signal(SIGSEGV, leave_touch);
        for (size_t at = 0; at < SIZE; at += 256 * KIB) {
            CHECK(mincore(base + at, 4096, &resident) != 0 && errno == ENOMEM);
            CHECK(!can_read(base + at) && !can_write(base + at));
        }
        CHECK(glebe_region_release(region, base, UNIT) == GLEBE_REGION_BAD_HANDLE);
        CHECK(glebe_region_delete(region) == GLEBE_REGION_BAD_HANDLE);

        glebe_region_options own_options = region_options(SIZE, 2 * MIB);
        own_options.page_size = UNIT;
        own_options.base = base;
        glebe_region own;
        CHECK(create_region(&own_options, &own) == base);
        CHECK(holds(base, SIZE, 0));
        write_all(base, 2);
        pass(&other);
        await(&other);
        CHECK(all_hold(base, 2));
        CHECK(glebe_region_delete(own) == GLEBE_REGION_OK);
        _exit(0);
    }
    CHECK(child > 0);
    await(&parent);
    CHECK(all_hold(base, 1));
    write_all(base, 3);
    CHECK(glebe_region_evict(region, base, SIZE) == GLEBE_REGION_OK);
    pass(&parent);
    ends_well(child);
    CHECK(all_hold(base, 3));
    CHECK(glebe_region_delete(region) == GLEBE_REGION_OK);
    if (kind == GLEBE_REGION_FILE)
        close(options.file);
}

int main(void)
{
    of_kind(GLEBE_REGION_ANONYMOUS);
    of_kind(GLEBE_REGION_FILE);
    return 0;
}
