/* expect: exit 0
   modes: link
   under: GLEBE_PAGE_SIZE=1G
   An object of 1 GiB lies in a page of the kernel's pool, and the map shows it; when it has become
   smaller by far, or is freed, its page is free again. */
#include "page_size.h"

static void is_in_the_map(const char *block)
{
    glebe_map map;
    glebe_map_run run;
    glebe_map_region region = {.struct_size = sizeof region};
    size_t runs;
    CHECK(glebe_map_take(0, &map) == GLEBE_MAP_OK);
    for (size_t i = 0; region.start != (size_t)block; i++)
        CHECK(glebe_map_get_region(map, i, &region) == GLEBE_MAP_OK);
    CHECK(region.kind == GLEBE_MAP_LARGE_OBJECT && region.page_bytes == GIB);
    CHECK(region.huge_bytes == GIB && region.resident_bytes == GIB);
    CHECK(glebe_map_get_runs(map, 0, 0, 1, &run, &runs) == GLEBE_MAP_OK && run.page_bytes == 4 * KIB);
    CHECK(glebe_map_delete(map) == GLEBE_MAP_OK);
}

int main(void)
{
    if (!has_1_gib())
        skip("no page of 1 GiB in the pool");
    for (int turn = 0; turn < 3; turn++) {
        char *block = malloc(GIB);
        CHECK(page_size_at(block) == 0);
        fill(block, GIB, 3);
        CHECK(page_size_at(block + GIB / 2 + 5) == GIB);
        is_in_the_map(block);
        CHECK(malloc_usable_size(block) >= GIB && glebe_address_kind(block) == GLEBE_KIND_LARGE);
        CHECK(realloc(block, GIB - 5 * MIB) == block);
        block = realloc(block, 10 * MIB);
        CHECK(block && holds(block, 10 * MIB, 3) && page_size_at(block) < GIB);
        free(block);
    }
    return 0;
}
