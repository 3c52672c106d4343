/* expect: exit 0
   modes: link preload static
   Every C door, for sizes above PTRDIFF_MAX and for products that overflow. */
#include "check.h"

#define REFUSES(call) (errno = 0, CHECK((call) == NULL), CHECK(errno == ENOMEM))

int main(void)
{
    const size_t sizes[] = {(size_t)PTRDIFF_MAX + 1, SIZE_MAX / 2 + 4096, SIZE_MAX - 4096,
                            SIZE_MAX - 15,           SIZE_MAX - 1,        SIZE_MAX};
    void *block = malloc(100);
    fill(block, 100, 5);
    for (int i = 0; i < 6; i++) {
        size_t size = sizes[i];
        REFUSES(malloc(size));
        REFUSES(calloc(size, 1));
        REFUSES(calloc(1, size));
        REFUSES(realloc(NULL, size));
        REFUSES(realloc(block, size));
        REFUSES(reallocarray(block, size, 1));
        REFUSES(valloc(size));
        REFUSES(pvalloc(size));
        for (size_t alignment = 1; alignment <= GIB; alignment *= 2) {
            REFUSES(memalign(alignment, size));
            REFUSES(aligned_alloc(alignment, size));
            void *out = &out;
            errno = 7;
            if (alignment >= sizeof(void *))
                CHECK(posix_memalign(&out, alignment, size) == ENOMEM && errno == 7);
            CHECK(out == &out);
        }
    }
    /* Near the limit the alignment or the header may not wrap round. */
    REFUSES(malloc(PTRDIFF_MAX));
    REFUSES(memalign(GIB, PTRDIFF_MAX));
    REFUSES(memalign(GIB, (size_t)PTRDIFF_MAX - GIB + 1));
    REFUSES(calloc(SIZE_MAX / 2, 3));
    REFUSES(calloc((size_t)1 << 32, (size_t)1 << 32));
    REFUSES(calloc(((size_t)1 << 32) + 1, (size_t)1 << 32));
    REFUSES(reallocarray(block, (size_t)1 << 33, (size_t)1 << 31));
    REFUSES(reallocarray(NULL, SIZE_MAX, SIZE_MAX));
    CHECK(holds(block, 100, 5));
    free(block);
    return 0;
}
