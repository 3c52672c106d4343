/* expect: exit 0
   modes: link
   Each bad argument of a region's functions has its error, and nothing changes. */
#include "region.h"
#include <sys/mman.h>

static int create_with(glebe_region_options options)
{
    glebe_region region = {77};
    void *base = &region;
    int error = glebe_region_create(&options, &region, &base);
    CHECK(error != GLEBE_REGION_OK && region.id == 77 && base == &region);
    return error;
}

#define REFUSED(change, expected)                                   \
    do {                                                            \
        glebe_region_options options = region_options(MIB, MIB / 2); \
        change;                                                     \
        CHECK(create_with(options) == expected);                    \
    } while (0)

int main(void)
{
    glebe_region_options options = region_options(MIB, MIB / 2);
    glebe_region region, none = {0}, wrong;
    options.most_size = 2 * MIB;
    options.page_size = 16 * KIB;
    char *base = create_region(&options, &region);
    int memory, pipes[2], file = region_file(100, 1);
    CHECK(glebe_region_shared_memory(MIB, &memory) == 0 && pipe(pipes) == 0);
    void *taken = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    errno = 5;

    CHECK(glebe_region_create(NULL, &wrong, NULL) == GLEBE_REGION_BAD_ARGUMENT);
    CHECK(glebe_region_create(&options, NULL, NULL) == GLEBE_REGION_BAD_ARGUMENT);
    REFUSED(options.struct_size = 8, GLEBE_REGION_BAD_ARGUMENT);
    REFUSED(options.kind = 3, GLEBE_REGION_BAD_ARGUMENT);
    REFUSED(options.prefetch = -1, GLEBE_REGION_BAD_ARGUMENT);
    REFUSED(options.eviction = 3, GLEBE_REGION_BAD_ARGUMENT);
    REFUSED(options.flags = 8, GLEBE_REGION_BAD_ARGUMENT);
    REFUSED(options.flags = GLEBE_REGION_GROWS_FILE, GLEBE_REGION_WRONG_KIND);
    REFUSED(options.size = 0, GLEBE_REGION_ZERO_SIZE);
    REFUSED(options.size += 1, GLEBE_REGION_UNALIGNED);
    REFUSED(options.base = base + 1, GLEBE_REGION_UNALIGNED);
    REFUSED(options.size = (size_t)1 << 50, GLEBE_REGION_TOO_LARGE);
    REFUSED(options.most_size = MIB / 2, GLEBE_REGION_TOO_LARGE);
    REFUSED(options.base = (void *)(UINTPTR_MAX - 4095), GLEBE_REGION_OVERFLOW);
    REFUSED(options.base = base, GLEBE_REGION_BAD_BASE);
    REFUSED(options.base = taken, GLEBE_REGION_BAD_BASE);
    REFUSED(options.page_size = 5000, GLEBE_REGION_BAD_PAGE_SIZE);
    REFUSED(options.page_size = 2048, GLEBE_REGION_BAD_PAGE_SIZE);
    REFUSED(options.page_size = 4 * MIB, GLEBE_REGION_BAD_PAGE_SIZE);
    REFUSED(options.budget = 7 * 4096, GLEBE_REGION_BAD_BUDGET);
    REFUSED(options.kind = GLEBE_REGION_FILE, GLEBE_REGION_BAD_FILE);
    REFUSED((options.kind = GLEBE_REGION_FILE, options.file = pipes[0]), GLEBE_REGION_BAD_FILE);
    REFUSED((options.kind = GLEBE_REGION_FILE, options.file = file),
            GLEBE_REGION_FILE_TOO_SHORT);
    REFUSED((options.kind = GLEBE_REGION_FILE, options.file = file, options.file_offset = 1),
            GLEBE_REGION_UNALIGNED);
    REFUSED((options.kind = GLEBE_REGION_SHARED, options.file = memory, options.size = 2 * MIB),
            GLEBE_REGION_FILE_TOO_SHORT);

    CHECK(glebe_region_shared_memory(0, &memory) == GLEBE_REGION_ZERO_SIZE);
    CHECK(glebe_region_shared_memory(1, &memory) == GLEBE_REGION_UNALIGNED);
    CHECK(glebe_region_shared_memory(4096, NULL) == GLEBE_REGION_BAD_ARGUMENT);

    CHECK(glebe_region_expand(region, 0) == GLEBE_REGION_ZERO_SIZE);
    CHECK(glebe_region_expand(region, MIB + 4096) == GLEBE_REGION_UNALIGNED);
    CHECK(glebe_region_expand(region, 2 * MIB + 16 * KIB) == GLEBE_REGION_TOO_LARGE);
    CHECK(glebe_region_expand(region, MIB / 2) == GLEBE_REGION_BAD_ARGUMENT);
    CHECK(glebe_region_contract(region, 0) == GLEBE_REGION_ZERO_SIZE);
    CHECK(glebe_region_contract(region, 2 * MIB) == GLEBE_REGION_BAD_ARGUMENT);
    CHECK(glebe_region_contract(region, 5000) == GLEBE_REGION_UNALIGNED);
    CHECK(glebe_region_set_budget(region, 7 * 16 * KIB) == GLEBE_REGION_BAD_BUDGET);
    CHECK(glebe_region_sync(region) == GLEBE_REGION_WRONG_KIND);

    CHECK(glebe_region_protect(region, base, 16 * KIB, 3) == GLEBE_REGION_BAD_PROTECTION);
    CHECK(glebe_region_protect(region, base, 16 * KIB, -1) == GLEBE_REGION_BAD_PROTECTION);
    CHECK(glebe_region_protect(region, base, 0, 1) == GLEBE_REGION_ZERO_SIZE);
    CHECK(glebe_region_protect(region, base, 4096, 1) == GLEBE_REGION_UNALIGNED);
    CHECK(glebe_region_protect(region, base + 4096, 16 * KIB, 1) == GLEBE_REGION_UNALIGNED);
    CHECK(glebe_region_protect(region, base - 16 * KIB, 16 * KIB, 1) == GLEBE_REGION_OUTSIDE);
    CHECK(glebe_region_protect(region, base, MIB + 16 * KIB, 1) == GLEBE_REGION_OUTSIDE);
    CHECK(glebe_region_protect(region, base, SIZE_MAX, 1) == GLEBE_REGION_OVERFLOW);

    CHECK(glebe_region_release(region, base, 0) == GLEBE_REGION_ZERO_SIZE);
    CHECK(glebe_region_release(region, base, 4096) == GLEBE_REGION_UNALIGNED);
    CHECK(glebe_region_release(region, base + 4096, 16 * KIB) == GLEBE_REGION_UNALIGNED);
    CHECK(glebe_region_release(region, NULL, 16 * KIB) == GLEBE_REGION_OUTSIDE);
    CHECK(glebe_region_release(region, base - 16 * KIB, 16 * KIB) == GLEBE_REGION_OUTSIDE);
    CHECK(glebe_region_release(region, base, MIB + 16 * KIB) == GLEBE_REGION_OUTSIDE);
    CHECK(glebe_region_release(region, base + 16 * KIB, SIZE_MAX) == GLEBE_REGION_OVERFLOW);
    CHECK(glebe_region_release(none, base, 16 * KIB) == GLEBE_REGION_BAD_HANDLE);

    CHECK(glebe_region_pin(region, base, 0) == GLEBE_REGION_ZERO_SIZE);
    CHECK(glebe_region_pin(region, base + 1, SIZE_MAX) == GLEBE_REGION_OVERFLOW);
    CHECK(glebe_region_pin(region, base + 1, MIB) == GLEBE_REGION_OUTSIDE);
    CHECK(glebe_region_pin(region, base, MIB / 2) == GLEBE_REGION_NO_ROOM);
    CHECK(glebe_region_unpin(region, base, 1) == GLEBE_REGION_NOT_PINNED);
    CHECK(glebe_region_evict(region, base - 1, 2) == GLEBE_REGION_OUTSIDE);
    CHECK(glebe_region_prefetch(region, NULL, 2) == GLEBE_REGION_OUTSIDE);

    glebe_region_page page;
    CHECK(glebe_region_pages(region, 0, 0, &page) == GLEBE_REGION_ZERO_SIZE);
    CHECK(glebe_region_pages(region, 256, 1, &page) == GLEBE_REGION_OUTSIDE);
    CHECK(glebe_region_pages(region, 1, SIZE_MAX, &page) == GLEBE_REGION_OVERFLOW);
    CHECK(glebe_region_pages(region, 0, 1, NULL) == GLEBE_REGION_BAD_ARGUMENT);
    CHECK(glebe_region_get_statistics(region, NULL) == GLEBE_REGION_BAD_ARGUMENT);
    glebe_region_statistics statistics = {.struct_size = 8};
    CHECK(glebe_region_get_statistics(region, &statistics) == GLEBE_REGION_BAD_ARGUMENT);

    /* Nothing has changed by all that. */
    for (size_t at = 0; at < 256; at++) {
        page = region_page(region, at);
        CHECK(page.state == GLEBE_REGION_PAGE_ABSENT && page.pins == 0);
    }
    statistics = region_statistics(region);
    CHECK(statistics.size == MIB && statistics.budget == MIB / 2 && statistics.faults == 0);
    base[MIB - 1] = 1;

    CHECK(glebe_region_delete(none) == GLEBE_REGION_BAD_HANDLE);
    glebe_region other = {region.id + 256};
    CHECK(glebe_region_delete(other) == GLEBE_REGION_BAD_HANDLE);
    CHECK(errno == 5);
    CHECK(glebe_region_delete(region) == GLEBE_REGION_OK);
    for (int error = -1; error < 25; error++)
        CHECK(glebe_region_error_text(error) && *glebe_region_error_text(error));
    return 0;
}
