/* expect: exit 0
   modes: link
   A deleted region's handle is refused by every function, also when its place is taken again; its
   memory and its thread are gone. */
#include "region.h"
#include <dirent.h>
#include <sys/mman.h>

static int threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    if (!tasks)
        skip("no /proc");
    int count = 0;
    while (readdir(tasks))
        count++;
    closedir(tasks);
    return count - 2;
}

int main(void)
{
    glebe_region_options options = region_options(4 * MIB, MIB);
    glebe_region region, next;
    char *base = create_region(&options, &region);
    fill(base, 4 * MIB, 7);
    CHECK(threads() == 2);
    CHECK(glebe_region_delete(region) == GLEBE_REGION_OK);
    CHECK(threads() == 1);
    unsigned char resident;
    CHECK(mincore(base, 4096, &resident) != 0 && errno == ENOMEM);

    for (int turn = 0; turn < 2; turn++) {
        glebe_region_page page;
        glebe_region_statistics statistics = {.struct_size = sizeof statistics};
        CHECK(glebe_region_delete(region) == GLEBE_REGION_BAD_HANDLE);
        CHECK(glebe_region_delete_unsaved(region) == GLEBE_REGION_BAD_HANDLE);
        CHECK(glebe_region_expand(region, 8 * MIB) == GLEBE_REGION_BAD_HANDLE);
        CHECK(glebe_region_contract(region, MIB) == GLEBE_REGION_BAD_HANDLE);
        CHECK(glebe_region_protect(region, base, 4096, 0) == GLEBE_REGION_BAD_HANDLE);
        CHECK(glebe_region_release(region, base, 4096) == GLEBE_REGION_BAD_HANDLE);
        CHECK(glebe_region_sync(region) == GLEBE_REGION_BAD_HANDLE);
        CHECK(glebe_region_pin(region, base, 4096) == GLEBE_REGION_BAD_HANDLE);
        CHECK(glebe_region_unpin(region, base, 4096) == GLEBE_REGION_BAD_HANDLE);
        CHECK(glebe_region_prefetch(region, base, 4096) == GLEBE_REGION_BAD_HANDLE);
        CHECK(glebe_region_evict(region, base, 4096) == GLEBE_REGION_BAD_HANDLE);
        CHECK(glebe_region_set_budget(region, MIB) == GLEBE_REGION_BAD_HANDLE);
        CHECK(glebe_region_get_statistics(region, &statistics) == GLEBE_REGION_BAD_HANDLE);
        CHECK(glebe_region_pages(region, 0, 1, &page) == GLEBE_REGION_BAD_HANDLE);
        if (turn == 0)
            create_region(&options, &next);
    }
    CHECK(next.id != region.id);

    /* A thousand regions after each other leave nothing; 256 at a time can be had. */
    CHECK(glebe_region_delete(next) == GLEBE_REGION_OK);
    size_t before = 0;
    for (int i = 0; i < 1000; i++) {
        base = create_region(&options, &region);
        fill(base, 64 * KIB, i);
        CHECK(glebe_region_delete(region) == GLEBE_REGION_OK);
        if (i == 20)
            before = resident_bytes();
    }
    CHECK(resident_bytes() < before + MIB);
    static glebe_region all[256];
    for (int i = 0; i < 256; i++)
        *create_region(&options, &all[i]) = (char)i;
    CHECK(glebe_region_create(&options, &region, NULL) == GLEBE_REGION_TOO_MANY);
    for (int i = 0; i < 256; i++)
        CHECK(glebe_region_delete(all[i]) == GLEBE_REGION_OK);
    return 0;
}
