/* expect: exit 0
   modes: link preload */
#include "check.h"
#include <dlfcn.h>

static void *find(const char *name)
{
    Dl_info place;
    void *symbol = dlsym(RTLD_DEFAULT, name);
    if (!symbol || !dladdr(symbol, &place) || !strstr(place.dli_fname, "libglebe")) {
        dprintf(2, "%s is not ours\n", name);
        _exit(1);
    }
    return symbol;
}

int main(void)
{
    void *(*of_size[])(size_t) = {find("__libc_malloc"), find("__libc_valloc"),
                                  find("__libc_pvalloc")};
    void *(*of_two[])(size_t, size_t) = {find("__libc_calloc"), find("__libc_memalign")};
    void *(*libc_realloc)(void *, size_t) = find("__libc_realloc");
    void (*libc_free)(void *) = find("__libc_free");
    int (*libc_posix_memalign)(void **, size_t, size_t) = find("__posix_memalign");
    int (*owns)(const void *) = find("glebe_owns");
    for (int i = 0; i < 6; i++) {
        void *block;
        if (i == 5)
            CHECK(libc_posix_memalign(&block, 64, 100) == 0);
        else
            block = i < 3 ? of_size[i](100) : of_two[i - 3](64, 100);
        CHECK(block && owns(block));
        i % 2 ? free(block) : libc_free(libc_realloc(block, 500));
    }
    return 0;
}
