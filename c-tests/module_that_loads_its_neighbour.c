/* expect: module
   flags: -ldl -Wl,-rpath,$ORIGIN */
#include <dlfcn.h>
#include <stddef.h>

int loads_its_neighbour(int flags)
{
    return dlopen("module_that_allocates.so", flags) != NULL;
}
