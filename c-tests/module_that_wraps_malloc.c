/* expect: module
   flags: -ldl
   Another entry of LD_PRELOAD that counts and passes on. */
#include <dlfcn.h>
#include <stdlib.h>

size_t wrapped_mallocs;

void *malloc(size_t size)
{
    static void *(*next)(size_t);
    if (!next)
        next = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    wrapped_mallocs++;
    return next(size);
}
