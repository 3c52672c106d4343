/* expect: exit 0
   modes: link preload
   beside: module_that_wraps_malloc
   flags: -ldl */
#include "check.h"
#include <dlfcn.h>

int main(void)
{
    size_t *wrapped = dlsym(RTLD_DEFAULT, "wrapped_mallocs");
    int (*owns)(const void *) = dlsym(RTLD_DEFAULT, "glebe_owns");
    CHECK(wrapped && owns);
    size_t before = *wrapped;
    void *block = malloc(100);
    CHECK(*wrapped == before + 1 && owns(block));
    block = realloc(block, 10000);
    CHECK(owns(block));
    free(block);
    return 0;
}
