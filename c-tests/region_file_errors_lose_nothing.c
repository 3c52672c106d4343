/* expect: exit 0
   modes: link
   Where the file cannot be written its dirty pages stay in memory, above the budget if need be,
   and are written when it can be again. */
#include "region.h"
#include <signal.h>
#include <sys/resource.h>

int main(void)
{
    int file = region_file(2 * MIB, 'a');
    glebe_region_options options = region_options(2 * MIB, 256 * KIB);
    options.kind = GLEBE_REGION_FILE;
    options.file = file;
    options.page_size = 16 * KIB;
    glebe_region region;
    char *base = create_region(&options, &region);
    signal(SIGXFSZ, SIG_IGN);

    /* Files may be no longer than 64 KiB now: EFBIG. */
    struct rlimit none = {64 * KIB, RLIM_INFINITY}, all = {RLIM_INFINITY, RLIM_INFINITY};
    CHECK(setrlimit(RLIMIT_FSIZE, &none) == 0);
    for (size_t at = 0; at < 2 * MIB; at += 4096)
        *(size_t *)(base + at) = at;
    glebe_region_statistics statistics = {.struct_size = sizeof statistics};
    CHECK(glebe_region_get_statistics(region, &statistics) == GLEBE_REGION_OK);
    CHECK(statistics.write_errors > 0);
    CHECK(glebe_region_sync(region) == GLEBE_REGION_WRITE_FAILED);
    CHECK(glebe_region_evict(region, base, 2 * MIB) == GLEBE_REGION_WRITE_FAILED);
    CHECK(glebe_region_contract(region, MIB) == GLEBE_REGION_WRITE_FAILED);
    CHECK(glebe_region_delete(region) == GLEBE_REGION_WRITE_FAILED);
    for (size_t at = 0; at < 2 * MIB; at += 4096)
        CHECK(*(size_t *)(base + at) == at);

    CHECK(setrlimit(RLIMIT_FSIZE, &all) == 0);
    CHECK(glebe_region_sync(region) == GLEBE_REGION_OK);
    CHECK(glebe_region_set_budget(region, 256 * KIB) == GLEBE_REGION_OK);
    CHECK(region_statistics(region).dirty == 0);
    for (size_t at = 0; at < 2 * MIB; at += 4096) {
        size_t found;
        CHECK(pread(file, &found, sizeof found, (off_t)at) == sizeof found && found == at);
    }
    CHECK(glebe_region_delete(region) == GLEBE_REGION_OK);
    return 0;
}
