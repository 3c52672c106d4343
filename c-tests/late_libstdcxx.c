/* expect: exit 0
   modes: link preload
   flags: -ldl
   A C program loads libstdc++ late and out of the global scope; a failing new there still finds the
   new-handler and throws what the module can catch. */
#include "check.h"
#include <dlfcn.h>

int main(void)
{
    CHECK(dlsym(RTLD_DEFAULT, "_ZSt15get_new_handlerv") == NULL);
    void *module = dlopen(MODULES "/module_that_throws.so", RTLD_NOW | RTLD_LOCAL);
    if (!module)
        puts(dlerror());
    CHECK(module != NULL);
    CHECK(((int (*)(void))dlsym(module, "catches_bad_alloc"))() == 2);
    CHECK(((int (*)(void))dlsym(module, "handler_calls"))() == 3);
    CHECK(((int (*)(void))dlsym(module, "nothrow_is_null"))() == 1);
    return 0;
}
