/* The first word of a block is written after free: an allocator's link lies there. */
#include "misuse.h"

int main(void)
{
    block = allocate(64);
    free(block);
    *(size_t *)block = 0x4141414141414141;
    return go_on(64);
}
