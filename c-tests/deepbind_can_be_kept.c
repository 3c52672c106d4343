/* expect: exit 0
   modes: link preload
   flags: -ldl
   under: GLEBE_DEEPBIND=keep
   The module then uses libc's malloc; its blocks are foreign here and go back there. */
#include "check.h"
#include <dlfcn.h>

int main(void)
{
    void *module = dlopen(MODULES "/module_that_allocates.so", RTLD_NOW | RTLD_DEEPBIND);
    CHECK(module != NULL);
    void *(*module_malloc)(size_t) = dlsym(module, "module_malloc");
    char *(*module_strdup)(const char *) = dlsym(module, "module_strdup");
    const char *(*file)(void) = dlsym(module, "module_malloc_file");
    CHECK(strstr(file(), "libc.so"));
    for (size_t size = 1; size < 4 * MIB; size *= 3) {
        char *block = module_malloc(size);
        fill(block, size, 1);
        CHECK(malloc_usable_size(block) >= size);
        block = realloc(block, 2 * size);
        CHECK(holds(block, size, 1));
        free(block);
    }
    free(module_strdup("crosses"));
    return 0;
}
