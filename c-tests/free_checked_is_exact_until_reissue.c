/* expect: exit 0
   modes: link static
   under: nothing
   under: GLEBE_SAMPLE=100000
   Hundreds of blocks of a class, freed in random order, waiting in caches, slabs or unmapped: each
   is known to be free until malloc issues it again, and again live from then on. */
#include "check.h"
#include "glebe.h"

int main(void)
{
    const size_t sizes[] = {16, 64, 112, 1000, 3000, 20 * KIB, 100 * KIB, 3 * MIB};
    uint64_t seed = 20260401;
    for (int s = 0; s < 8; s++) {
        enum { COUNT = 600 };
        void *block[COUNT];
        int count = sizes[s] > MIB ? 20 : COUNT;
        for (int i = 0; i < count; i++)
            block[i] = malloc(sizes[s]);
        for (int i = count - 1; i > 0; i--) {
            int other = next_random(&seed) % (i + 1);
            void *swap = block[i];
            block[i] = block[other];
            block[other] = swap;
        }
        for (int freed = 0; freed < count; freed++) {
            CHECK(glebe_free_checked(block[freed]) == GLEBE_FREE_SUCCESS);
            for (int i = 0; i <= freed; i++)
                CHECK(glebe_free_checked(block[i]) == GLEBE_FREE_ALREADY_FREE);
            if (freed + 1 < count)
                CHECK(glebe_owns(block[freed + 1]));
        }
        void *again = malloc(sizes[s]);
        CHECK(glebe_owns(again) && glebe_free_checked(again) == GLEBE_FREE_SUCCESS);
    }
    return 0;
}
