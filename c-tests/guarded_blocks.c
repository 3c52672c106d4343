/* expect: exit 0
   modes: link static
   under: GLEBE_HARDENED=1
   under: GLEBE_HARDENED=1 GLEBE_GUARD=mprotect
   under: GLEBE_GUARD_LARGE=1
   Guarded blocks are zero, aligned, exactly as large as asked for, and keep their contents through
   realloc; every question about them is answered. */
#include "check.h"
#include "glebe.h"
#include <sys/mman.h>

static void zero_aligned_and_of_exact_size(void)
{
    static const size_t sizes[] = {0, 1, 17, 4096, 40000, 65536, 70000, 3000001, 20 * MIB};
    for (size_t round = 0; round < 600; round++) {
        size_t size = sizes[round % (sizeof sizes / sizeof *sizes)];
        size_t alignment = (size_t)1 << round % 19;
        unsigned char *block = glebe_guarded_alloc(alignment, size);
        CHECK(block && (uintptr_t)block % alignment == 0 && (uintptr_t)block % 16 == 0);
        CHECK(malloc_usable_size(block) == size);
        CHECK(glebe_block_start(block) == block);
        for (size_t at = 0; at < size; at += 1021)
            CHECK(block[at] == 0);
        if (size) {
            CHECK(glebe_address_kind(block + size - 1) == GLEBE_KIND_GUARDED);
            CHECK(glebe_block_start(block + size - 1) == block);
            CHECK(glebe_block_size(block + size / 2) == size);
            memset(block, (int)round | 1, size);
        }
        if (size > 1)
            CHECK(glebe_free_checked(block + 1) == GLEBE_FREE_INSIDE_BLOCK);
        free(block);
        CHECK(glebe_free_checked(block) == GLEBE_FREE_ALREADY_FREE);
        CHECK(!glebe_owns(block));
        CHECK(glebe_address_kind(block) == GLEBE_KIND_FREE
              || glebe_address_kind(block) == GLEBE_KIND_GUARD_PAGE);
    }
}

static void realloc_keeps_contents(void)
{
    size_t size = 50000;
    unsigned char *block = glebe_guarded_alloc(16, size);
    fill(block, size, 7);
    for (int step = 0; step < 400; step++) {
        size_t next = 20000 + (size_t)step * 7919 % 1000 * (step % 7 == 0 ? 9000 : 90);
        unsigned char *moved = realloc(block, next);
        CHECK(moved && glebe_address_kind(moved) == GLEBE_KIND_GUARDED);
        CHECK(malloc_usable_size(moved) == next);
        CHECK(holds(moved, next < size ? next : size, 7));
        fill(moved, next, 7);
        block = moved;
        size = next;
    }
    block = realloc(block, 100);
    CHECK(block);
    CHECK(holds(block, 100, 7));
    free(block);
}

static void kinds_are_told(void)
{
    char *guarded = glebe_guarded_alloc((size_t)sysconf(_SC_PAGESIZE), 100000);
    int on_stack = 0;
    CHECK(glebe_address_kind(guarded) == GLEBE_KIND_GUARDED);
    CHECK(glebe_address_kind(guarded - 1) == GLEBE_KIND_GUARD_PAGE);
    CHECK(glebe_address_kind(guarded + 102400) == GLEBE_KIND_GUARD_PAGE);
    CHECK(glebe_address_kind(&on_stack) == GLEBE_KIND_NOT_OURS);
    CHECK(glebe_address_kind(NULL) == GLEBE_KIND_NOT_OURS);
    CHECK(glebe_address_kind((void *)UINTPTR_MAX) == GLEBE_KIND_NOT_OURS);
    free(guarded);
    char *large = malloc(3 * MIB);
    CHECK(glebe_address_kind(large + 5) == GLEBE_KIND_GUARDED);
    free(large);
}

int main(void)
{
    errno = 0;
    CHECK(glebe_guarded_alloc(24, 100) == NULL && errno == EINVAL);
    errno = 0;
    CHECK(glebe_guarded_alloc(0, 100) == NULL && errno == EINVAL);
    errno = 0;
    CHECK(glebe_guarded_alloc(16, SIZE_MAX) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(glebe_guarded_alloc(16, PTRDIFF_MAX) == NULL && errno == ENOMEM);
    zero_aligned_and_of_exact_size();
    realloc_keeps_contents();
    kinds_are_told();
    return 0;
}
