/* expect: exit 0
   modes: link preload static
   under: GLEBE_SAMPLE=100000
   Every size up to a page, from every door, has its exact size, its alignment and its contents. */
#include "check.h"

static void look_at(void *block, size_t size, size_t alignment)
{
    CHECK(block && (uintptr_t)block % alignment == 0 && malloc_usable_size(block) == size);
    fill(block, size, 0x5a);
    CHECK(holds(block, size, 0x5a));
}

int main(void)
{
    for (size_t size = 0; size <= 4096; size += size < 64 ? 1 : 61) {
        void *block = malloc(size);
        look_at(block, size, 16);
        block = realloc(block, size / 2 + 1);
        CHECK(block && holds(block, size < size / 2 + 1 ? size : size / 2 + 1, 0x5a));
        look_at(block, size / 2 + 1, 16);
        free(block);
        block = calloc(1, size);
        CHECK(block && holds(block, size, 0));
        look_at(block, size, 16);
        free(block);
        for (size_t alignment = 16; alignment <= 4096; alignment *= 2) {
            look_at(block = aligned_alloc(alignment, size), size, alignment);
            free(block);
            CHECK(posix_memalign(&block, alignment, size) == 0);
            look_at(block, size, alignment);
            free(block);
        }
    }
    char *grown = NULL;
    for (size_t size = 1; size < 20000; size += 97) {
        CHECK((grown = realloc(grown, size)));
        CHECK(size < 98 || holds(grown, size - 97, 7));
        fill(grown, size, 7);
    }
    free(grown);
    return 0;
}
