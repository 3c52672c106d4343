/* expect: exit 0
   modes: link preload static
   under: nothing
   under: GLEBE_HARDENED=1
   Alignments of 1 byte to 1 GiB for sizes from 0 to some MiB, on every door that takes one. */
#include "check.h"

int main(void)
{
    const size_t sizes[] = {0,     1,     15,     16,      17,       100,         333,
                            1024,  4095,  4097,   33 * KIB, 100001,  MIB - 1,     MIB + 1,
                            3 * MIB + 7};
    for (size_t alignment = 1; alignment <= GIB; alignment *= 2)
        for (int s = 0; s < 15; s++) {
            void *block[4] = {memalign(alignment, sizes[s]), aligned_alloc(alignment, sizes[s])};
            int count = 2;
            if (alignment >= sizeof(void *) && alignment <= 64 * MIB)
                for (; count < 4; count++)
                    CHECK(posix_memalign(&block[count], alignment, sizes[s]) == 0);
            for (int i = 0; i < count; i++) {
                CHECK(block[i] != NULL);
                CHECK((uintptr_t)block[i] % (alignment < 16 ? 16 : alignment) == 0);
                CHECK(malloc_usable_size(block[i]) >= sizes[s]);
                fill(block[i], sizes[s], i);
            }
            for (int i = 0; i < count; i++) {
                CHECK(holds(block[i], sizes[s], i));
                free(block[i]);
            }
        }
    for (size_t size = 0; size < 3000; size++) {
        void *block = malloc(size);
        CHECK((uintptr_t)block % 16 == 0);
        free(block);
    }
    return 0;
}
