/* expect: exit 0
   modes: link preload static
   under: nothing
   under: GLEBE_HARDENED=1
   under: GLEBE_SAMPLE=100000
   Every byte of the usable size, with neighbours that would show an overlap; size classes step by
   at most 12.5 %. */
#include "check.h"

int main(void)
{
    for (size_t size = 0; size <= 4 * MIB; size += size / 16 + 1) {
        void *block[8];
        for (int i = 0; i < 8; i++) {
            block[i] = malloc(size);
            size_t usable = malloc_usable_size(block[i]);
            CHECK(usable >= size);
            if (size <= MIB)
                CHECK(usable <= size + size / 8 + 16);
            fill(block[i], usable, i);
        }
        for (int i = 0; i < 8; i++) {
            CHECK(holds(block[i], malloc_usable_size(block[i]), i));
            free(block[i]);
        }
    }
    for (size_t alignment = 32; alignment <= 64 * KIB; alignment *= 2)
        for (size_t size = 1; size < 200 * KIB; size += size / 3 + 1) {
            void *one = memalign(alignment, size), *two = memalign(alignment, size);
            fill(one, malloc_usable_size(one), 1);
            fill(two, malloc_usable_size(two), 2);
            CHECK(malloc_usable_size(one) >= size && holds(one, malloc_usable_size(one), 1));
            free(one);
            free(two);
        }
    return 0;
}
