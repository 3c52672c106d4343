/* expect: abort "fatal: double free: ptr=0x"
   modes: link preload static
   The page that said so went back to the kernel. */
#include "check.h"

int main(void)
{
    enum { COUNT = 1000 };
    static void *block[COUNT];
    for (int i = 0; i < COUNT; i++)
        CHECK((block[i] = malloc(1000)) != NULL);
    /* The first block of each slab keeps it. */
    void *freed = NULL;
    for (int i = 1; i < COUNT; i++) {
        if ((uintptr_t)block[i] >> 16 != (uintptr_t)block[i - 1] >> 16)
            continue;
        free(block[i]);
        if (i < COUNT / 2)
            freed = block[i];
    }
    malloc_trim(0);
    free(freed);
    return 0;
}
