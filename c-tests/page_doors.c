/* expect: exit 0
   modes: link preload static
   under: nothing
   under: GLEBE_HARDENED=1
   valloc aligns to the page; pvalloc also rounds the size up to it. */
#include "check.h"

int main(void)
{
    size_t page = sysconf(_SC_PAGESIZE);
    for (size_t size = 0; size < 5 * page; size += 777) {
        void *plain = valloc(size), *rounded = pvalloc(size);
        CHECK(plain && rounded && (uintptr_t)plain % page == 0 && (uintptr_t)rounded % page == 0);
        CHECK(malloc_usable_size(plain) >= size);
        CHECK(malloc_usable_size(rounded) >= (size + page - 1) / page * page);
        fill(plain, size, 1);
        fill(rounded, (size + page - 1) / page * page, 2);
        free(plain);
        free(rounded);
    }
    return 0;
}
