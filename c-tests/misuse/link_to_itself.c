/* The link of a free block is made to point to the block itself, so that it would be issued for
   ever. */
#include "misuse.h"

int main(void)
{
    block = allocate(64);
    free(block);
    *(char **)block = block;
    return go_on(64);
}
