/* expect: exit 0
   modes: link static
   glebe_owns, glebe_block_start and glebe_block_size for the start, the inside and the outside. */
#include "check.h"
#include "glebe.h"

static void check_address(char *block, size_t usable, char *address)
{
    CHECK(glebe_owns(address) == 1);
    CHECK(glebe_block_start(address) == block);
    CHECK(glebe_block_size(address) == usable);
}

int main(void)
{
    const size_t sizes[] = {0, 1, 24, 100, 3000, 31 * KIB, 33 * KIB, 70 * KIB, MIB, 5 * MIB, 100 * MIB};
    const size_t alignments[] = {16, 4096, 2 * MIB};
    for (int s = 0; s < 11; s++)
        for (int a = 0; a < 3; a++) {
            char *block = memalign(alignments[a], sizes[s]);
            size_t usable = malloc_usable_size(block);
            check_address(block, usable, block);
            check_address(block, usable, block + usable / 3);
            check_address(block, usable, block + usable - 1);
            CHECK(glebe_block_start(block - 1) != block && glebe_block_start(block + usable) != block);
            free(block);
            CHECK(!glebe_owns(block) && !glebe_block_start(block) && glebe_block_size(block) == 0);
            CHECK(!glebe_owns(block + usable - 1) && !glebe_block_start(block + usable - 1));
        }
    int local;
    const void *elsewhere[] = {NULL, &local, stdout, (void *)main, (void *)8, (void *)UINTPTR_MAX,
                               (void *)0x00007fffffffffff, (void *)0x0000800000000000};
    for (int i = 0; i < 8; i++)
        CHECK(!glebe_owns(elsewhere[i]) && !glebe_block_start(elsewhere[i]) && !glebe_block_size(elsewhere[i]));
    return 0;
}
