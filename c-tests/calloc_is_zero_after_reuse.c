/* expect: exit 0
   modes: link preload static
   under: nothing
   under: confine refuse=madvise,mremap
   under: GLEBE_PURGE_DELAY_MS=0 GLEBE_DIRTY_MIB=0
   under: GLEBE_HARDENED=1
   Dirty memory of every kind comes back zero, also where the kernel did not take it. */
#include "check.h"

int main(void)
{
    const size_t sizes[] = {1,        16,      100,     1000,    4096,    8000,   33 * KIB, 100 * KIB,
                            500 * KIB, MIB - 1, MIB + 1, 5 * MIB};
    for (int s = 0; s < 12; s++)
        for (int round = 0; round < 5; round++) {
            enum { COUNT = 8 };
            size_t size = sizes[s];
            unsigned char *block[COUNT];
            int count = size > MIB ? 3 : COUNT;
            for (int i = 0; i < count; i++) {
                block[i] = round % 2 ? calloc(size, 1) : calloc(1, size);
                CHECK(block[i] != NULL && holds(block[i], size, 0));
                fill(block[i], malloc_usable_size(block[i]), 0xee);
            }
            for (int i = 0; i < count; i++)
                free(block[round % 3 ? i : count - 1 - i]);
            if (round == 3)
                malloc_trim(0);
        }
    return 0;
}
