/* The word before a block of 4 MiB is overwritten: other allocators keep the block's size
   there. */
#include "misuse.h"

int main(void)
{
    block = allocate(4 * MIB);
    ((size_t *)block)[-1] = 0x2002;
    free(block);
    return go_on(4 * MIB);
}
