/* expect: exit 0
   modes: link
   Pages of a region can be protected and freed of it; contents stay through it, evicted or not, and
   faults there are the program's own. */
#include "region.h"
#include "touch.h"

int main(void)
{
    signal(SIGSEGV, leave_touch);
    for (int of_a_file = 0; of_a_file < 2; of_a_file++) {
        glebe_region_options options = region_options(4 * MIB, 512 * KIB);
        if (of_a_file) {
            options.kind = GLEBE_REGION_FILE;
            options.file = region_file(4 * MIB, 0);
        }
        glebe_region region;
        char *base = create_region(&options, &region);
        for (size_t at = 0; at < 4 * MIB; at += 4096)
            *(size_t *)(base + at) = at + 1;
        CHECK(glebe_region_protect(region, base + MIB, MIB, GLEBE_PROTECT_READ) == 0);
        CHECK(glebe_region_protect(region, base + 2 * MIB, 64 * KIB, GLEBE_PROTECT_NONE) == 0);
        CHECK(can_write(base + MIB - 1) && !can_write(base + MIB) && can_read(base + MIB));
        CHECK(!can_read(base + 2 * MIB) && can_write(base + 2 * MIB + 64 * KIB));
        /* Everything leaves and comes, but what cannot be read. */
        for (int turn = 0; turn < 2; turn++)
            for (size_t at = 0; at < 4 * MIB; at += 4096)
                if (at / (64 * KIB) != 32)
                    CHECK(*(size_t *)(base + at) == at + 1);
        glebe_region_evict(region, base, 4 * MIB);
        CHECK(glebe_region_protect(region, base + MIB, 2 * MIB, GLEBE_PROTECT_READ_WRITE) == 0);
        for (size_t at = 0; at < 4 * MIB; at += 4096) {
            CHECK(*(size_t *)(base + at) == at + 1);
            CHECK(can_write(base + at));
        }
        CHECK(glebe_region_delete(region) == GLEBE_REGION_OK);
        if (of_a_file)
            close(options.file);
    }
    return 0;
}
