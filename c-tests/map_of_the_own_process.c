/* expect: exit 0
   modes: link static
   under: nothing
   under: GLEBE_HARDENED=1
   A process sees its own address space: its code, its stack, blocks of its heap by class, what it
   wrote and what it did not; and taking the map asks the heap for nothing. */
#include "check.h"
#include "glebe.h"
#include <pthread.h>
#include <sys/mman.h>

static glebe_map map;
static size_t regions;

/* The region that holds `address`; checks that regions are in order and runs leave no gaps. */
static glebe_map_region region_at(const void *address)
{
    glebe_map_region found = {0};
    size_t before = 0;
    for (size_t i = 0; i < regions; i++) {
        glebe_map_region region = {.struct_size = sizeof region};
        CHECK(glebe_map_get_region(map, i, &region) == GLEBE_MAP_OK);
        CHECK(before <= region.start && region.start < region.end);
        before = region.end;
        size_t at = region.start, first = 0, written, resident = 0;
        glebe_map_run run[16];
        do {
            CHECK(glebe_map_get_runs(map, i, first, 16, run, &written) == GLEBE_MAP_OK);
            for (size_t j = 0; j < written; at = run[j++].end) {
                CHECK(run[j].start == at && run[j].end > at);
                resident += run[j].state == GLEBE_MAP_PAGE_RESIDENT ? run[j].end - at : 0;
            }
            first += written;
        } while (written);
        CHECK(at == region.end && resident == region.resident_bytes);
        if (region.start <= (size_t)address && (size_t)address < region.end)
            found = region;
    }
    return found;
}

static void take(void)
{
    int runs_glebe;
    CHECK(glebe_map_take(0, &map) == GLEBE_MAP_OK);
    CHECK(glebe_map_count(map, &regions, &runs_glebe) == GLEBE_MAP_OK);
    CHECK(regions > 5 && runs_glebe == 1);
}

int main(void)
{
    int local;
    static char *block[5000];
    for (int i = 0; i < 5000; i++)
        memset(block[i] = malloc(100), 1, 100);
    char *medium = malloc(300 * KIB), *large = malloc(5 * MIB);
    memset(medium, 1, 300 * KIB);
    large[2 * MIB] = 1;
    char *own = mmap(NULL, 64 * KIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(own, 1, 8 * KIB);
    CHECK(mprotect(own + 60 * KIB, 4 * KIB, PROT_NONE) == 0);
    char *section = glebe_sbrk(100 * KIB);
    memset(section, 1, 100 * KIB);

    glebe_statistics before = {.struct_size = sizeof before}, after = before;
    glebe_get_statistics(&before);
    take();
    glebe_get_statistics(&after);
    CHECK(before.live_blocks == after.live_blocks && before.heap_bytes == after.heap_bytes);

    CHECK(region_at(&local).kind == GLEBE_MAP_STACK);
    glebe_map_region code = region_at((void *)(uintptr_t)main);
    CHECK(code.kind == GLEBE_MAP_TEXT);
    CHECK(code.flags == (GLEBE_MAP_READABLE | GLEBE_MAP_EXECUTABLE));
    CHECK(region_at(own).kind == GLEBE_MAP_ANONYMOUS || region_at(own).end > (size_t)own + 60 * KIB);
    CHECK(region_at(own + 60 * KIB).kind == GLEBE_MAP_GUARD);
    CHECK(region_at(section).kind == GLEBE_MAP_DATA_SECTION);
    CHECK(region_at(section).resident_bytes == 100 * KIB);
    if (!getenv("GLEBE_HARDENED")) {
        size_t seen = 0;
        for (int i = 0; i < 5000; i += 100) {
            glebe_map_region slab = region_at(block[i]);
            CHECK(slab.kind == GLEBE_MAP_SLABS && slab.block_bytes == 112);
            CHECK(slab.live_blocks > 0 && slab.resident_bytes > 0);
            seen = slab.live_blocks > seen ? slab.live_blocks : seen;
        }
        CHECK(seen >= 100);
        CHECK(region_at(medium).kind == GLEBE_MAP_MEDIUM_OBJECTS);
        CHECK(region_at(large).kind == GLEBE_MAP_LARGE_OBJECT);
        CHECK(region_at(large).end >= (size_t)large + 5 * MIB);
    } else {
        CHECK(region_at(large).kind == GLEBE_MAP_GUARDED_OBJECT);
    }

    /* A program's code has its file's name. */
    char name[4096], shortened[4] = "...";
    for (size_t i = 0; i < regions; i++) {
        glebe_map_region region = {.struct_size = sizeof region};
        CHECK(glebe_map_get_region(map, i, &region) == GLEBE_MAP_OK);
        if (region.start == code.start) {
            CHECK(glebe_map_get_name(map, i, name, sizeof name) == GLEBE_MAP_OK);
            CHECK(strstr(name, "map_of_the_own_process"));
            CHECK(glebe_map_get_name(map, i, shortened, sizeof shortened) == GLEBE_MAP_OK);
            CHECK(strlen(shortened) == 3 && memcmp(name, shortened, 3) == 0);
        }
    }

    /* It is a picture of a moment; refreshed, one of another. */
    size_t resident = region_at(own).resident_bytes;
    memset(own + 16 * KIB, 1, 4 * KIB);
    CHECK(region_at(own).resident_bytes == resident);
    CHECK(glebe_map_refresh(map) == GLEBE_MAP_OK);
    CHECK(glebe_map_count(map, &regions, NULL) == GLEBE_MAP_OK);
    CHECK(region_at(own).resident_bytes == resident + 4 * KIB);
    CHECK(glebe_map_delete(map) == GLEBE_MAP_OK);

    /* What is in no memory is not touched to be looked at: tables of 128 MiB, of which a page is
     * there. */
    glebe_region_options options = {.struct_size = sizeof options, .size = 64 * GIB, .budget = MIB};
    glebe_region sparse;
    void *base;
    if (glebe_region_create(&options, &sparse, &base) == GLEBE_REGION_OK) {
        ((char *)base)[32 * GIB] = 1;
        glebe_region_statistics first = {.struct_size = sizeof first}, second = first;
        CHECK(glebe_region_get_statistics(sparse, &first) == GLEBE_REGION_OK);
        take();
        CHECK(region_at(base).kind == GLEBE_MAP_PAGED_REGION);
        CHECK(glebe_region_get_statistics(sparse, &second) == GLEBE_REGION_OK);
        CHECK(first.metadata == second.metadata && first.metadata < MIB);
        CHECK(glebe_map_delete(map) == GLEBE_MAP_OK);
        CHECK(glebe_region_delete(sparse) == GLEBE_REGION_OK);
    }
    return 0;
}
