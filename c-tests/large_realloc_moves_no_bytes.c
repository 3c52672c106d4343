/* expect: exit 0
   modes: link preload static
   under: nothing
   under: COPIES=1 confine refuse=mremap
   Growth of large blocks to 1 GiB and back keeps the contents, and where the block moves the place
   within its huge page, so that the kernel can move page tables instead of pages. */
#include "check.h"

int main(void)
{
    size_t size = 2 * MIB;
    char *block = malloc(size);
    for (int i = 0; i < 20; i++) {
        size_t step = size / 2 + 12345;
        if (size > 512 * MIB)
            break;
        fill(block + size - 1000, 1000, i);
        CHECK(malloc(MIB + i) != NULL);
        char *moved = realloc(block, size + step);
        CHECK(moved != NULL && malloc_usable_size(moved) >= size + step);
        CHECK(((uintptr_t)moved - (uintptr_t)block) % 4096 == 0);
        CHECK(holds(moved + size - 1000, 1000, i));
        block = moved;
        size += step;
    }
    /* Pages never written stay away, unless without mremap every byte had to be copied. */
    CHECK(resident_bytes() < 100 * MIB || getenv("COPIES"));
    block = realloc(block, 3 * MIB);
    CHECK(block && holds(block + 2 * MIB - 1000, 1000, 0));
    CHECK(malloc_usable_size(block) < 4 * MIB || getenv("COPIES"));
    free(block);
    return 0;
}
