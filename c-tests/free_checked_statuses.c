/* expect: exit 0
   modes: link static
   Blocks of every kind: live, inside, freed, not ours. */
#include "check.h"
#include "glebe.h"
#include <sys/mman.h>

static char array[4096];

int main(void)
{
    const size_t sizes[] = {1, 16, 48, 100, 1000, 5000, 32 * KIB, 33 * KIB, 200 * KIB, MIB, 2 * MIB, 64 * MIB};
    for (int s = 0; s < 12; s++) {
        char *block = malloc(sizes[s]), *neighbour = malloc(sizes[s]);
        size_t usable = malloc_usable_size(block);
        errno = 7;
        CHECK(glebe_free_checked(block + 1) == GLEBE_FREE_INSIDE_BLOCK);
        CHECK(glebe_free_checked(block + usable / 2) == GLEBE_FREE_INSIDE_BLOCK);
        CHECK(glebe_free_checked(block + usable - 1) == GLEBE_FREE_INSIDE_BLOCK);
        CHECK(glebe_owns(block));
        CHECK(glebe_free_checked(block) == GLEBE_FREE_SUCCESS);
        CHECK(glebe_free_checked(block) == GLEBE_FREE_ALREADY_FREE);
        CHECK(glebe_free_checked(block) == GLEBE_FREE_ALREADY_FREE);
        CHECK(glebe_free_checked(neighbour) == GLEBE_FREE_SUCCESS);
        CHECK(glebe_free_checked(block) == GLEBE_FREE_ALREADY_FREE);
        CHECK(glebe_free_checked(neighbour) == GLEBE_FREE_ALREADY_FREE);
        CHECK(errno == 7);
    }
    CHECK(glebe_free_checked(NULL) == GLEBE_FREE_SUCCESS);
    char on_stack[64];
    void *mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *foreign[] = {on_stack, array, array + 5, mapped, (void *)main, (void *)1,
                       (void *)4096, (void *)(UINTPTR_MAX - 4096), (void *)UINTPTR_MAX,
                       (void *)0x8000000000000000, (void *)0x00007ffffffff000, stdout};
    for (int i = 0; i < 12; i++)
        CHECK(glebe_free_checked(foreign[i]) == GLEBE_FREE_NOT_OURS && !glebe_owns(foreign[i]));
    return 0;
}
