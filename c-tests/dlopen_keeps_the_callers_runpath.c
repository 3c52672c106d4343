/* expect: exit 0
   modes: link preload
   flags: -ldl
   under: nothing
   under: GLEBE_DEEPBIND=keep
   dlopen searches the RUNPATH of the object that called it, which is not this program. */
#include "check.h"
#include <dlfcn.h>

int main(void)
{
    CHECK(dlopen("module_that_allocates.so", RTLD_NOW) == NULL && dlerror() != NULL);
    void *module = dlopen(MODULES "/module_that_loads_its_neighbour.so", RTLD_NOW);
    CHECK(module != NULL);
    int (*loads_its_neighbour)(int) = dlsym(module, "loads_its_neighbour");
    CHECK(loads_its_neighbour(RTLD_NOW));
    CHECK(loads_its_neighbour(RTLD_LAZY | RTLD_DEEPBIND));
    CHECK(dlopen(NULL, RTLD_NOW) != NULL);
    return 0;
}
