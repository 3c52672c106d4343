/* expect: exit 0
   modes: link static
   Any whole pages of a region can be given back: their memory and store are free at once, an
   anonymous page is zero afterwards, one of a file what the file holds, and the rest is as it was.
   Pinned pages refuse, and then nothing has changed. */
#include "region.h"
#include "touch.h"
#include <sys/mman.h>

enum { SIZE = 8 << 20, UNIT = 16 << 10, UNITS = SIZE / UNIT };

/* Something that does not compress. */
static void write_unit(char *unit, uint64_t seed)
{
    uint64_t state = seed + 1;
    for (size_t at = 0; at < UNIT; at += 8)
        *(uint64_t *)(unit + at) = next_random(&state);
}

static int holds_unit(const char *unit, uint64_t seed)
{
    uint64_t state = seed + 1;
    for (size_t at = 0; at < UNIT; at += 8)
        if (*(const uint64_t *)(unit + at) != next_random(&state))
            return 0;
    return 1;
}

static void of_anonymous_pages(void)
{
    glebe_region_options options = region_options(SIZE, 2 * MIB);
    options.page_size = UNIT;
    glebe_region region;
    char *base = create_region(&options, &region);
    for (int i = 0; i < UNITS; i++)
        write_unit(base + i * UNIT, (uint64_t)i);
    glebe_region_statistics before = region_statistics(region);
    CHECK(before.stored > 4 * MIB && before.store_size > 4 * MIB);

    /* Resident, staged and stored ones alike. */
    for (int i = 0; i < UNITS; i += 4)
        CHECK(glebe_region_release(region, base + i * UNIT, 3 * UNIT) == GLEBE_REGION_OK);
    glebe_region_statistics after = region_statistics(region);
    CHECK(after.resident + after.staged <= before.resident + before.staged - MIB);
    CHECK(after.stored <= before.stored / 2);
    for (int i = 0; i < UNITS; i++) {
        glebe_region_page page = region_page(region, (size_t)i * UNIT / 4096);
        CHECK((page.state == GLEBE_REGION_PAGE_ABSENT) == (i % 4 != 3));
    }
    for (int i = 0; i < UNITS; i++)
        CHECK(i % 4 == 3 ? holds_unit(base + i * UNIT, (uint64_t)i) : holds(base + i * UNIT, UNIT, 0));

    /* What was given back is used again. */
    for (int i = 0; i < UNITS; i++)
        write_unit(base + i * UNIT, 1000u + (uint64_t)i);
    for (int i = 0; i < UNITS; i++)
        CHECK(holds_unit(base + i * UNIT, 1000u + (uint64_t)i));

    CHECK(glebe_region_pin(region, base + 9 * UNIT, 1) == GLEBE_REGION_OK);
    CHECK(glebe_region_release(region, base, SIZE) == GLEBE_REGION_PINNED);
    for (int i = 0; i < UNITS; i++)
        CHECK(holds_unit(base + i * UNIT, 1000u + (uint64_t)i));
    CHECK(glebe_region_unpin(region, base + 9 * UNIT, 1) == GLEBE_REGION_OK);

    /* Protections stay. */
    CHECK(glebe_region_protect(region, base, UNIT, GLEBE_PROTECT_NONE) == 0);
    CHECK(glebe_region_protect(region, base + UNIT, UNIT, GLEBE_PROTECT_READ) == 0);
    CHECK(glebe_region_release(region, base, SIZE) == GLEBE_REGION_OK);
    CHECK(glebe_region_release(region, base, SIZE) == GLEBE_REGION_OK);
    after = region_statistics(region);
    CHECK(after.resident == 0 && after.staged == 0 && after.stored == 0);
    /* Of the store, empty blocks are left that the next page takes. */
    CHECK(after.store_size < MIB);
    CHECK(!can_read(base) && can_read(base + UNIT) && !can_write(base + UNIT));
    CHECK(can_write(base + 2 * UNIT));
    CHECK(glebe_region_evict(region, base, SIZE) == GLEBE_REGION_OK);
    CHECK(glebe_region_delete(region) == GLEBE_REGION_OK);
    CHECK(glebe_region_release(region, base, UNIT) == GLEBE_REGION_BAD_HANDLE);
}

static void of_a_file(void)
{
    char byte;
    glebe_region_options options = region_options(SIZE - 100, 2 * MIB);
    options.page_size = UNIT;
    options.kind = GLEBE_REGION_FILE;
    options.prefetch = GLEBE_REGION_PREFETCH_NONE;
    options.file = region_file(SIZE, 1);
    glebe_region region;
    char *base = create_region(&options, &region);
    fill(base, UNIT, 2);
    CHECK(glebe_region_sync(region) == GLEBE_REGION_OK);
    fill(base, 2 * UNIT, 3);
    fill(base + SIZE - UNIT, UNIT - 100, 3);
    CHECK(region_statistics(region).dirty == 3 * UNIT);
    CHECK(glebe_region_release(region, base, 2 * UNIT) == GLEBE_REGION_OK);
    CHECK(glebe_region_release(region, base + SIZE - UNIT, UNIT) == GLEBE_REGION_OK);
    CHECK(region_statistics(region).dirty == 0 && region_statistics(region).resident == 0);
    CHECK(holds(base, UNIT, 2) && holds(base + UNIT, UNIT, 1));
    CHECK(holds(base + SIZE - UNIT, UNIT - 100, 1));
    base[5] = 7;
    CHECK(glebe_region_delete(region) == GLEBE_REGION_OK);
    CHECK(pread(options.file, &byte, 1, 5) == 1 && byte == 7);
    CHECK(pread(options.file, &byte, 1, UNIT) == 1 && byte == 1);
    close(options.file);
}

static void of_shared_memory(void)
{
    glebe_region_options options = region_options(SIZE, 2 * MIB);
    options.page_size = UNIT;
    options.kind = GLEBE_REGION_SHARED;
    options.prefetch = GLEBE_REGION_PREFETCH_NONE;
    CHECK(glebe_region_shared_memory(SIZE, &options.file) == GLEBE_REGION_OK);
    glebe_region region;
    char *base = create_region(&options, &region);
    fill(base, 2 * UNIT, 5);
    CHECK(glebe_region_release(region, base, UNIT) == GLEBE_REGION_OK);
    CHECK(region_statistics(region).resident == UNIT);
    CHECK(holds(base, 2 * UNIT, 5));
    CHECK(glebe_region_delete(region) == GLEBE_REGION_OK);
    close(options.file);
}

static void of_locked_pages(void)
{
    glebe_region_options options = region_options(SIZE, 2 * MIB);
    options.page_size = UNIT;
    glebe_region region;
    char *base = create_region(&options, &region);
    fill(base, 4 * UNIT, 5);
    if (mlock(base + UNIT, UNIT) == 0) {
        CHECK(glebe_region_release(region, base, 4 * UNIT) == GLEBE_REGION_PINNED);
        CHECK(holds(base, UNIT, 0) && holds(base + UNIT, UNIT, 5) && holds(base + 2 * UNIT, UNIT, 0));
        CHECK(munlock(base + UNIT, UNIT) == 0);
    }
    CHECK(glebe_region_delete(region) == GLEBE_REGION_OK);
}

int main(void)
{
    signal(SIGSEGV, leave_touch);
    of_anonymous_pages();
    of_a_file();
    of_shared_memory();
    of_locked_pages();
    return 0;
}
