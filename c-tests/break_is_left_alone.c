/* expect: exit 0
   modes: link preload static
   under: GLEBE_SOURCE=mmap */
#include "check.h"

int main(void)
{
    void *before = sbrk(0);
    for (int i = 0; i < 100000; i++)
        CHECK(malloc(i % 3000) != NULL);
    CHECK(sbrk(0) == before);
    return 0;
}
