/* expect: exit 0
   modes: link
   under: GLEBE_BUDGET=16M
   under: GLEBE_BUDGET=16M GLEBE_STORE=file
   The page table of a heap under a budget can be read page by page: of an object three times as large
   some pages are in memory and most are out, none is nowhere; an evicted page that is touched is in
   memory in the next map, with its contents. */
#include "paged.h"
#include "glebe.h"

static glebe_map map;

/* Where the page of `address` is, by the map; and the region's kind. */
static uint32_t state_of(const void *address, size_t *kind)
{
    size_t at = (size_t)address, regions;
    CHECK(glebe_map_count(map, &regions, NULL) == GLEBE_MAP_OK);
    for (size_t i = 0; i < regions; i++) {
        glebe_map_region region = {.struct_size = sizeof region};
        CHECK(glebe_map_get_region(map, i, &region) == GLEBE_MAP_OK);
        if (at < region.start || at >= region.end)
            continue;
        *kind = region.kind;
        glebe_map_run run;
        size_t written;
        for (size_t first = 0;; first++) {
            CHECK(glebe_map_get_runs(map, i, first, 1, &run, &written) == GLEBE_MAP_OK && written == 1);
            if (at < run.end)
                return run.state;
        }
    }
    CHECK(!"the address is in no region");
    return 0;
}

int main(void)
{
    enum { SAMPLES = 500 };
    start_paged();
    size_t size = 48 * MIB, kind, resident = 0, out = 0;
    char *object = malloc(size);
    for (size_t at = 0; at < size; at += sizeof(uint64_t))
        *(uint64_t *)(object + at) = mixed(at) % 4;
    CHECK(glebe_map_take(0, &map) == GLEBE_MAP_OK);
    const char *evicted[SAMPLES];
    for (size_t i = 0; i < SAMPLES; i++) {
        const char *page = object + i * (size / SAMPLES / PAGE) * PAGE;
        uint32_t state = state_of(page, &kind);
        CHECK(kind == GLEBE_MAP_LARGE_OBJECT);
        if (state == GLEBE_MAP_PAGE_RESIDENT) {
            resident++;
        } else {
            CHECK(state == GLEBE_MAP_PAGE_STAGED || state == GLEBE_MAP_PAGE_COMPRESSED ||
                  state == GLEBE_MAP_PAGE_FILED || state == GLEBE_MAP_PAGE_SAME_FILLED);
            evicted[out++] = page;
        }
    }
    CHECK(out > SAMPLES / 2 && resident + out == SAMPLES);
    for (size_t i = 0; i < out; i += 50) {
        size_t at = (size_t)(evicted[i] - object);
        CHECK(*(volatile uint64_t *)evicted[i] == mixed(at) % 4);
        CHECK(glebe_map_refresh(map) == GLEBE_MAP_OK);
        /* It was touched last but for the next ones, which push nothing so new out. */
        CHECK(state_of(evicted[i], &kind) == GLEBE_MAP_PAGE_RESIDENT);
    }
    CHECK(glebe_map_delete(map) == GLEBE_MAP_OK);
    return 0;
}
