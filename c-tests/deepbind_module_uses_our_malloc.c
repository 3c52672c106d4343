/* expect: exit 0
   modes: link preload
   flags: -ldl */
#include "check.h"
#include <dlfcn.h>

int main(void)
{
    void *module = dlopen(MODULES "/module_that_allocates.so", RTLD_NOW | RTLD_DEEPBIND);
    CHECK(module != NULL);
    void *(*module_malloc)(size_t) = dlsym(module, "module_malloc");
    void (*module_free)(void *) = dlsym(module, "module_free");
    char *(*module_strdup)(const char *) = dlsym(module, "module_strdup");
    const char *(*file)(void) = dlsym(module, "module_malloc_file");
    CHECK(strstr(file(), "libglebe"));
    for (size_t size = 1; size < 4 * MIB; size *= 3) {
        module_free(malloc(size));
        free(module_malloc(size));
        free(realloc(module_malloc(size), 2 * size));
    }
    free(module_strdup("crosses"));
    module_free(strdup("crosses back"));
    return 0;
}
