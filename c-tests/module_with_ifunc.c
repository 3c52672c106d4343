/* expect: module
   The resolver of its own IFUNC allocates: it runs while the loader relocates this library, which
   is before it relocates the allocator. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static void *from_resolver[8];

static int answer(void) { return 42; }

static int (*resolve(void))(void)
{
    for (int i = 0; i < 6; i++) {
        size_t size = (size_t)10 << (4 * i);
        from_resolver[i] = i % 2 ? malloc(size) : calloc(size, 1);
        from_resolver[i] = realloc(from_resolver[i], 2 * size);
        if (from_resolver[i])
            memset(from_resolver[i], i, malloc_usable_size(from_resolver[i]));
    }
    from_resolver[6] = aligned_alloc(4096, 100);
    from_resolver[7] = malloc(100);
    free(from_resolver[7]);
    free(NULL);
    return answer;
}

static int chosen(void) __attribute__((ifunc("resolve")));

int call_chosen(void) { return chosen() == 42; }
void **blocks_from_resolver(void) { return from_resolver; }
