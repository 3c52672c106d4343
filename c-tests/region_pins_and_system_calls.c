/* expect: exit 0
   modes: link
   Pinned pages stay, so system calls may read and write them whatever the process may have served;
   and a program that closes all of its descriptors does not harm its regions. */
#include "region.h"

int main(void)
{
    int file = region_file(64 * KIB, 'x'), pipes[2];
    CHECK(pipe(pipes) == 0);
    glebe_region_options options = region_options(8 * MIB, MIB);
    options.kind = GLEBE_REGION_FILE;
    options.file = region_file(8 * MIB, 'a');
    glebe_region region;
    char *base = create_region(&options, &region);
    char *buffer = base + 4 * MIB + 100;

    CHECK(glebe_region_pin(region, buffer, 64 * KIB) == GLEBE_REGION_OK);
    for (size_t at = 0; at < 8 * MIB; at += 4096)
        base[at] += 1;
    CHECK(pread(file, buffer, 64 * KIB, 0) == 64 * KIB);
    CHECK(holds(buffer, 64 * KIB, 'x'));
    for (size_t at = 0; at < 4 * MIB; at += 4096)
        base[at] += 1;
    CHECK(write(pipes[1], buffer, 4096) == 4096 && read(pipes[0], buffer + 4096, 4096) == 4096);
    CHECK(region_page(region, 1025).pins == 1 && region_statistics(region).pinned >= 64 * KIB);
    CHECK(glebe_region_unpin(region, buffer, 64 * KIB) == GLEBE_REGION_OK);
    CHECK(glebe_region_evict(region, base, 8 * MIB) == GLEBE_REGION_OK);
    /* What the system call wrote has come to the file. */
    CHECK(pread(options.file, base, 1, 4 * MIB + 5000) < 0 ? errno == EFAULT : *base == 'x');
    CHECK(holds(buffer, 64 * KIB, 'x'));

    /* In full mode, absent pages do as well. */
    if (region_statistics(region).kernel_faults) {
        CHECK(glebe_region_evict(region, base, 8 * MIB) == GLEBE_REGION_OK);
        CHECK(pread(file, buffer + MIB, 64 * KIB, 0) == 64 * KIB);
        CHECK(holds(buffer + MIB, 64 * KIB, 'x'));
    }

    for (int descriptor = 3; descriptor < 1000; descriptor++)
        close(descriptor);
    CHECK(glebe_region_evict(region, base, 8 * MIB) == GLEBE_REGION_OK);
    CHECK(holds(buffer, 64 * KIB, 'x') && base[7 * MIB] == 'a' + 1);
    CHECK(glebe_region_delete(region) == GLEBE_REGION_OK);
    return 0;
}
