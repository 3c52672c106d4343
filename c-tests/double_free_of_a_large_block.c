/* expect: abort "fatal: double free: ptr=0x"
   modes: link preload static */
#include "check.h"

int main(void)
{
    void *keeps_the_slab = malloc(3000000), *block = malloc(3000000);
    CHECK(keeps_the_slab && block);
    free(block);
    free(block);
    return 0;
}
