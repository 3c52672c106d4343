/* expect: exit 0
   modes: link
   The memory of a file's region is private: what one process writes reaches another only by the file,
   when it is written back, and there only the pages that come in afterwards. */
#include "isolation.h"
#include "region.h"

enum { SIZE = 1 << 20, UNIT = 16 << 10 };

static char byte_of_file(int file, off_t at)
{
    char byte;
    CHECK(pread(file, &byte, 1, at) == 1);
    return byte;
}

int main(void)
{
    struct turns parent, other;
    open_turns(&parent, &other);
    /* All fits: nothing is written back by eviction. */
    glebe_region_options options = region_options(SIZE, 2 * SIZE);
    options.kind = GLEBE_REGION_FILE;
    options.page_size = UNIT;
    options.prefetch = GLEBE_REGION_PREFETCH_NONE;
    options.file = region_file(SIZE, 1);
    glebe_region region;
    pid_t child = fork();
    char *base = create_region(&options, &region);
    if (child == 0) {
        CHECK(base[0] == 1);
        await(&other);
        /* Written by the parent, not written back: neither here nor in the file. */
        CHECK(base[0] == 1 && base[UNIT] == 1);
        CHECK(byte_of_file(options.file, 0) == 1 && byte_of_file(options.file, UNIT) == 1);
        pass(&other);
        await(&other);
        /* Written back: in the file, and in pages that come in now. */
        CHECK(byte_of_file(options.file, 0) == 2 && byte_of_file(options.file, 2 * UNIT) == 2);
        CHECK(base[0] == 1 && base[UNIT] == 1 && base[2 * UNIT] == 2);
        CHECK(glebe_region_release(region, base, 2 * UNIT) == GLEBE_REGION_OK);
        CHECK(holds(base, SIZE, 2));
        /* And the other way round. */
        fill(base + 3 * UNIT, UNIT, 3);
        pass(&other);
        await(&other);
        CHECK(glebe_region_delete(region) == GLEBE_REGION_OK);
        pass(&other);
        _exit(0);
    }
    CHECK(child > 0);
    fill(base, SIZE, 2);
    pass(&parent);
    await(&parent);
    CHECK(glebe_region_sync(region) == GLEBE_REGION_OK);
    pass(&parent);
    await(&parent);
    CHECK(holds(base, SIZE, 2) && byte_of_file(options.file, 3 * UNIT) == 2);
    pass(&parent);
    await(&parent);
    CHECK(byte_of_file(options.file, 3 * UNIT) == 3 && base[3 * UNIT] == 2);
    CHECK(glebe_region_release(region, base, SIZE) == GLEBE_REGION_OK);
    CHECK(base[3 * UNIT] == 3 && holds(base, 3 * UNIT, 2));
    ends_well(child);
    CHECK(glebe_region_delete(region) == GLEBE_REGION_OK);
    return 0;
}
