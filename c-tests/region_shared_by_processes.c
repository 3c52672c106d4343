/* expect: exit 0
   modes: link
   Two processes share memory by a descriptor: each attaches it at an address and with a budget of
   its own, and sees what the other writes. A child after fork has none of its parent's regions. */
#include "region.h"
#include <sys/mman.h>
#include <sys/wait.h>

enum { SIZE = 8 << 20 };

int main(void)
{
    int memory, go[2], done[2];
    char token = 0;
    CHECK(glebe_region_shared_memory(SIZE, &memory) == GLEBE_REGION_OK);
    CHECK(pipe(go) == 0 && pipe(done) == 0);
    glebe_region_options options = region_options(SIZE, MIB);
    options.kind = GLEBE_REGION_SHARED;
    options.file = memory;
    options.page_size = 64 * KIB;
    glebe_region region;
    char *base = create_region(&options, &region);
    for (size_t at = 0; at < SIZE; at += 8)
        *(size_t *)(base + at) = at;

    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        unsigned char resident;
        CHECK(mincore(base, 4096, &resident) != 0 && errno == ENOMEM);
        CHECK(glebe_region_delete(region) == GLEBE_REGION_BAD_HANDLE);
        options.base = base + 64 * MIB;
        glebe_region own;
        char *here = create_region(&options, &own);
        CHECK(here == base + 64 * MIB);
        for (size_t at = 0; at < SIZE; at += 8)
            CHECK(*(size_t *)(here + at) == at);
        for (size_t at = 0; at < SIZE; at += 8)
            *(size_t *)(here + at) = ~at;
        CHECK(region_statistics(own).shared_faults > 0);
        CHECK(write(done[1], &token, 1) == 1 && read(go[0], &token, 1) == 1);
        CHECK(*here == 77);
        CHECK(glebe_region_delete(own) == GLEBE_REGION_OK);
        _exit(0);
    }
    CHECK(read(done[0], &token, 1) == 1);
    for (size_t at = 0; at < SIZE; at += 8)
        CHECK(*(size_t *)(base + at) == ~at);
    *base = 77;
    CHECK(write(go[1], &token, 1) == 1);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    region_statistics(region);

    /* It grows for all, if it may. */
    CHECK(glebe_region_delete(region) == GLEBE_REGION_OK);
    options.most_size = 2 * SIZE;
    options.base = NULL;
    base = create_region(&options, &region);
    CHECK(glebe_region_expand(region, 2 * SIZE) == GLEBE_REGION_FILE_TOO_SHORT);
    CHECK(glebe_region_delete(region) == GLEBE_REGION_OK);
    options.flags = GLEBE_REGION_GROWS_FILE;
    base = create_region(&options, &region);
    CHECK(glebe_region_expand(region, 2 * SIZE) == GLEBE_REGION_OK);
    base[2 * SIZE - 1] = 1;
    CHECK(*base == 77 && lseek(memory, 0, SEEK_END) == 2 * SIZE);
    CHECK(glebe_region_delete(region) == GLEBE_REGION_OK);
    return 0;
}
