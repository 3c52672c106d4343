/* expect: exit 0
   modes: link preload static
   under: nothing
   under: confine refuse=mremap
   under: GLEBE_SOURCE=mmap
   under: GLEBE_HARDENED=1
   under: GLEBE_SAMPLE=100000
   Growth and shrinkage between every pair of kinds: small, medium, large, aligned. */
#include "check.h"

int main(void)
{
    const size_t sizes[] = {1,       24,      500,     4096,    20 * KIB, 40 * KIB, 300 * KIB,
                            MIB - 5, MIB + 5, 2 * MIB, 5 * MIB, 9 * MIB};
    for (int from = 0; from < 12; from++)
        for (int to = 0; to < 12; to++) {
            size_t old = sizes[from], new = sizes[to], kept = old < new ? old : new;
            void *block = (from + to) % 3 ? malloc(old) : memalign(256, old);
            void *neighbour = malloc(old);
            fill(block, old, from + 1);
            fill(neighbour, old, 99);
            block = realloc(block, new);
            CHECK(block != NULL && malloc_usable_size(block) >= new);
            CHECK(holds(block, kept, from + 1));
            fill(block, malloc_usable_size(block), 98);
            CHECK(holds(neighbour, old, 99));
            free(neighbour);
            free(block);
        }
    void *block = NULL;
    for (size_t size = 1; size < 6 * MIB; size += size / 7 + 1) {
        block = realloc(block, size);
        CHECK(block != NULL);
        CHECK(size < 3 || holds(block, size - size / 8 - 1, 'g'));
        fill(block, size, 'g');
    }
    free(block);
    return 0;
}
