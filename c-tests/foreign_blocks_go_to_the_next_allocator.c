/* expect: exit 0
   modes: link preload bare
   flags: -ldl
   Blocks of glibc's malloc, from before we were loaded or from libc itself. */
#include "check.h"
#include <dlfcn.h>

int main(void)
{
    void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
    void *library = dlopen(getenv("LIBRARY"), RTLD_NOW);
    CHECK(libc && library);
    void *(*theirs)(size_t) = dlsym(libc, "malloc");
    void (*our_free)(void *) = dlsym(library, "glebe_free");
    void *(*our_realloc)(void *, size_t) = dlsym(library, "glebe_realloc");
    size_t (*our_usable_size)(void *) = dlsym(library, "glebe_malloc_usable_size");
    int (*free_checked)(void *) = dlsym(library, "glebe_free_checked");
    struct mallinfo2 (*their_info)(void) = dlsym(libc, "mallinfo2");
    size_t in_use = 0;
    for (int round = 0; round < 3; round++) {
        if (round == 1)
            in_use = their_info().uordblks;
        for (size_t size = 24; size < 2 * MIB; size = size * 2 + 8) {
            void *block = theirs(size);
            fill(block, size, 1);
            CHECK(free_checked(block) == 1);
            CHECK(our_usable_size(block) >= size && our_usable_size(block) < size + 8 * KIB);
            block = our_realloc(block, 2 * size);
            CHECK(holds(block, size, 1));
            errno = 7;
            our_free(block);
            CHECK(errno == 7);
        }
    }
    CHECK(their_info().uordblks <= in_use + 4 * KIB);
    return 0;
}
