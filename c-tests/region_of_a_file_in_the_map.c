/* expect: exit 0
   modes: link static
   under: nothing
   under: GLEBE_HARDENED=1
   The map shows of a region of a file as dirty what the file does not have, to the page, though to
   the kernel all of it is anonymous memory; and of a region of 1 TiB the few pages that are there. */
#include "region.h"
#include <sys/mman.h>

static glebe_map map;

/* Where pages are and how many are dirty, of the region that begins at `start`. */
static glebe_map_region seen_at(const char *start)
{
    glebe_map_region seen = {.struct_size = sizeof seen}, all = {0};
    size_t regions;
    CHECK(glebe_map_refresh(map) == GLEBE_MAP_OK);
    CHECK(glebe_map_count(map, &regions, NULL) == GLEBE_MAP_OK);
    for (size_t i = 0; i < regions; i++) {
        CHECK(glebe_map_get_region(map, i, &seen) == GLEBE_MAP_OK);
        if (seen.kind != GLEBE_MAP_PAGED_REGION || seen.start < (size_t)start)
            continue;
        all.resident_bytes += seen.resident_bytes;
        all.dirty_bytes += seen.dirty_bytes;
        all.evicted_bytes += seen.evicted_bytes;
    }
    return all;
}

static void of_a_file(size_t page_size)
{
    enum { SIZE = 1 * MIB };
    glebe_region region;
    glebe_region_options options = region_options(SIZE, 2 * SIZE);
    options.kind = GLEBE_REGION_FILE;
    options.file = region_file(SIZE, 7);
    options.page_size = page_size;
    char *start = create_region(&options, &region);
    for (size_t at = 0; at < SIZE; at += 4 * KIB)
        CHECK(holds(start + at, 4 * KIB, 7));
    glebe_map_region seen = seen_at(start);
    CHECK(seen.resident_bytes == SIZE && seen.dirty_bytes == 0);
    start[5 * page_size] = start[6 * page_size] = start[9 * page_size] = 1;
    seen = seen_at(start);
    CHECK(seen.resident_bytes == SIZE && seen.dirty_bytes == 3 * page_size);
    CHECK(glebe_region_sync(region) == GLEBE_REGION_OK);
    CHECK(seen_at(start).dirty_bytes == 0);
    CHECK(glebe_region_delete(region) == GLEBE_REGION_OK && close(options.file) == 0);
}

static void of_a_tebibyte(void)
{
    const size_t size = (size_t)1 << 40;
    glebe_region region;
    glebe_region_options options = region_options(size, 1 * MIB);
    char *start = create_region(&options, &region);
    size_t before = region_statistics(region).metadata;
    for (size_t at = 0; at < 1000; at++)
        memset(start + at * (size >> 10) + (at % 512) * 4 * KIB, (int)at | 1, 100);
    /* A leaf for each area of 2 MiB that was touched; beside them what the directory takes, of which
       each page is for 1 GiB. */
    size_t metadata = region_statistics(region).metadata;
    CHECK(metadata > 1000 * 4 * KIB && metadata <= before + (1000 + 1000 + 16) * 4 * KIB);
    glebe_map_region seen = seen_at(start);
    CHECK(seen.resident_bytes <= 1 * MIB && seen.resident_bytes + seen.evicted_bytes == 1000 * 4 * KIB);
    CHECK(glebe_region_release(region, start, size) == GLEBE_REGION_OK);
    seen = seen_at(start);
    CHECK(seen.resident_bytes == 0 && seen.evicted_bytes == 0);
    CHECK(region_statistics(region).metadata <= before + (1000 + 16) * 4 * KIB);
    CHECK(start[5] == 0 && glebe_region_delete(region) == GLEBE_REGION_OK);
}

/* Two regions in one area of 2 MiB, which the map takes for a leaf each. */
static void of_neighbours(void)
{
    enum { SIZE = 64 * KIB };
    char *room = mmap(NULL, 4 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(room != MAP_FAILED && munmap(room, 4 * MIB) == 0);
    char *base = (char *)(((size_t)room + 2 * MIB - 1) & -(2 * MIB));
    glebe_region lower, upper;
    glebe_region_options options = region_options(SIZE, 1 * MIB);
    options.base = base;
    CHECK(create_region(&options, &lower) == base);
    options.base = base + SIZE;
    CHECK(create_region(&options, &upper) == base + SIZE);
    for (size_t at = 0; at < SIZE; at += 4 * KIB)
        fill(base + at, 4 * KIB, 7);
    CHECK(glebe_region_evict(lower, base, SIZE) == GLEBE_REGION_OK);
    CHECK(seen_at(base).evicted_bytes == SIZE && seen_at(base + SIZE).evicted_bytes == 0);
    for (size_t at = 0; at < SIZE; at += 4 * KIB)
        fill(base + SIZE + at, 4 * KIB, 8);
    CHECK(glebe_region_evict(upper, base + SIZE, SIZE) == GLEBE_REGION_OK);
    CHECK(seen_at(base).evicted_bytes == 2 * SIZE && seen_at(base + SIZE).evicted_bytes == SIZE);
    CHECK(glebe_region_delete(lower) == GLEBE_REGION_OK);
    CHECK(glebe_region_delete(upper) == GLEBE_REGION_OK);
}

int main(void)
{
    CHECK(glebe_map_take(0, &map) == GLEBE_MAP_OK);
    of_a_file(4 * KIB);
    of_a_file(64 * KIB);
    of_a_tebibyte();
    of_neighbours();
    CHECK(glebe_map_delete(map) == GLEBE_MAP_OK);
    return 0;
}
