/* expect: exit 0
   modes: link preload static
   under: GLEBE_SOURCE=break
   under: GLEBE_SOURCE=auto
   Small blocks lie in the program break, which shrinks when its top is free. */
#include "check.h"

int main(void)
{
    enum { COUNT = 30000 };
    static char *block[COUNT];
    char *low = sbrk(0);
    void *below = malloc(3000);
    for (int i = 0; i < COUNT; i++) {
        block[i] = malloc(3000);
        fill(block[i], 3000, i);
    }
    char *peak = sbrk(0);
    CHECK(peak >= low + 80 * MIB);
    CHECK(block[COUNT - 1] < peak && block[COUNT - 1] > low);
    for (int i = 0; i < COUNT; i++)
        free(block[i]);
    CHECK(malloc_trim(0) == 1);
    CHECK((char *)sbrk(0) <= low + 8 * MIB);
    free(below);
    return 0;
}
