/* expect: exit 0
   modes: link preload static
   under: nothing
   under: GLEBE_SOURCE=mmap
   under: GLEBE_SOURCE=break
   And says whether it did: at once after a trim there is nothing left to give. */
#include "check.h"

int main(void)
{
    enum { COUNT = 65536 };
    static void *block[COUNT];
    size_t start = resident_bytes();
    for (int i = 0; i < COUNT; i++) {
        block[i] = malloc(3000);
        fill(block[i], 3000, i);
    }
    for (int i = 0; i < COUNT; i++)
        free(block[i]);
    CHECK(malloc_trim(0) == 1);
    CHECK(resident_bytes() <= start + 2 * MIB);
    CHECK(malloc_trim(0) == 0);
    return 0;
}
