/* expect: exit 0
   modes: link
   A region of a section of a file: read on demand, written by sync, eviction and deletion, not by
   delete_unsaved; the file grows by option alone; the descriptor is not needed after creation. */
#include "region.h"

static void expect(int file, size_t offset, size_t size, int seed)
{
    static char block[1 << 20];
    CHECK(pread(file, block, size, (off_t)offset) == (ssize_t)size && holds(block, size, seed));
}

int main(void)
{
    int file = region_file(3 * MIB, 'a');
    glebe_region_options options = region_options(MIB, 128 * KIB);
    options.kind = GLEBE_REGION_FILE;
    options.page_size = 8 * KIB;
    options.file = dup(file);
    options.file_offset = MIB;
    glebe_region region;
    char *base = create_region(&options, &region);
    close(options.file);
    CHECK(holds(base, MIB, 'a'));
    CHECK(region_statistics(region).written_back == 0);

    /* Eviction writes. */
    fill(base, MIB, 'b');
    CHECK(glebe_region_evict(region, base, MIB) == GLEBE_REGION_OK);
    expect(file, MIB, MIB, 'b');
    CHECK(region_statistics(region).resident == 0 && region_statistics(region).dirty == 0);
    CHECK(region_page(region, 0).state == GLEBE_REGION_PAGE_ABSENT);
    CHECK(holds(base, MIB, 'b'));

    /* So does sync, again and again, and of pinned pages too. */
    CHECK(glebe_region_pin(region, base, 1) == GLEBE_REGION_OK);
    for (int seed = 1; seed < 5; seed++) {
        fill(base, 16 * KIB, seed);
        CHECK(region_page(region, 3).dirty == 1);
        CHECK(glebe_region_sync(region) == GLEBE_REGION_OK);
        CHECK(region_page(region, 3).dirty == 0);
        expect(file, MIB, 16 * KIB, seed);
    }
    CHECK(glebe_region_unpin(region, base, 1) == GLEBE_REGION_OK);

    /* So does deletion. */
    fill(base, 64 * KIB, 'c');
    CHECK(glebe_region_delete(region) == GLEBE_REGION_OK);
    expect(file, MIB, 64 * KIB, 'c');
    expect(file, 0, MIB, 'a');
    expect(file, 2 * MIB, MIB, 'a');

    /* The other deletion does not. */
    options.file = file;
    base = create_region(&options, &region);
    fill(base, 16 * KIB, 'd');
    CHECK(glebe_region_delete_unsaved(region) == GLEBE_REGION_OK);
    expect(file, MIB, 16 * KIB, 'c');

    /* A file that shall not grow stays as long as it is; one that shall does. */
    options.most_size = 4 * MIB;
    base = create_region(&options, &region);
    CHECK(glebe_region_expand(region, 2 * MIB) == GLEBE_REGION_OK);
    CHECK(holds(base + MIB, MIB, 'a'));
    CHECK(glebe_region_expand(region, 4 * MIB) == GLEBE_REGION_FILE_TOO_SHORT);
    CHECK(region_statistics(region).size == 2 * MIB && lseek(file, 0, SEEK_END) == 3 * MIB);
    CHECK(glebe_region_delete(region) == GLEBE_REGION_OK);
    options.flags = GLEBE_REGION_GROWS_FILE;
    options.size = 3 * MIB;
    base = create_region(&options, &region);
    CHECK(lseek(file, 0, SEEK_END) == 4 * MIB && holds(base + 2 * MIB, MIB, 0));
    CHECK(glebe_region_expand(region, 4 * MIB) == GLEBE_REGION_OK);
    base[4 * MIB - 1] = 'e';
    /* What is cut off is written before. */
    CHECK(glebe_region_contract(region, MIB) == GLEBE_REGION_OK);
    CHECK(glebe_region_delete(region) == GLEBE_REGION_OK);
    expect(file, 5 * MIB - 1, 1, 'e');

    /* Read-only, a file need not be open for writing. */
    char path[50];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    options.flags = 0;
    options.file = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(options.file >= 0);
    CHECK(glebe_region_create(&options, &region, NULL) == GLEBE_REGION_BAD_FILE);
    options.flags = GLEBE_REGION_READ_ONLY;
    base = create_region(&options, &region);
    CHECK(holds(base + 64 * KIB, 64 * KIB, 'b'));
    CHECK(glebe_region_protect(region, base, 8 * KIB, GLEBE_PROTECT_READ_WRITE) ==
          GLEBE_REGION_BAD_PROTECTION);
    CHECK(glebe_region_delete(region) == GLEBE_REGION_OK);
    return 0;
}
