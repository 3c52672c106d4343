/* expect: exit 0
   modes: link preload static
   under: nothing
   under: GLEBE_HARDENED=1
   under: GLEBE_SAMPLE=100000
   errno is 0 when main starts, whatever constructors allocated, and no call that succeeds sets it:
   programs do test errno after loops that allocate. */
#include "check.h"

__attribute__((constructor)) static void constructed(void)
{
    for (size_t size = 1; size < 4 * MIB; size *= 2)
        CHECK(malloc(size) != NULL);
}

int main(void)
{
    CHECK(errno == 0);
    errno = 7;
    for (int round = 0; round < 3; round++)
        for (size_t size = 1; size < 40 * MIB; size += size / 2 + 1) {
            void *block = realloc(malloc(size), 2 * size), *zero = calloc(size, 1);
            void *aligned = aligned_alloc(4096, size);
            CHECK(block && zero && aligned && malloc_usable_size(block) >= 2 * size && errno == 7);
            free(block);
            free(zero);
            free(aligned);
        }
    malloc_trim(0);
    CHECK(errno == 7);
    return 0;
}
