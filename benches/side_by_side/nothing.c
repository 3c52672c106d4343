/*
 * The least that can stand behind LD_PRELOAD: malloc walks round one piece of static memory, free
 * does nothing. Enough for programs that hold little at a time and have one thread; what it costs
 * is the cost of the calls themselves.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

enum { ROOM = 512 * 1024 };
static _Alignas(4096) char room[ROOM];
static size_t used;

void *malloc(size_t size) {
    if (size > ROOM / 4) {
        errno = ENOMEM;
        return NULL;
    }
    size_t start = used + size + 16 > ROOM ? 0 : used;
    used = (start + size + 15) & ~(size_t)15;
    return room + start;
}

void free(void *block) { (void)block; }

void *calloc(size_t count, size_t size) {
    void *block = malloc(count * size);
    return block ? memset(block, 0, count * size) : NULL;
}

void *realloc(void *block, size_t size) {
    char *grown = malloc(size);
    if (block && grown)
        for (size_t i = 0; i < size && (char *)block + i < room + ROOM; i++)
            grown[i] = ((char *)block)[i];
    return grown;
}

void *memalign(size_t alignment, size_t size) {
    char *block = malloc(size + alignment);
    return block ? block + (-(size_t)block & (alignment - 1)) : NULL;
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **out, size_t alignment, size_t size) {
    void *block = memalign(alignment, size);
    if (block) *out = block;
    return block ? 0 : ENOMEM;
}
