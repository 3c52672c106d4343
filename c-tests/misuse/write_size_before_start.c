/* The word before a block is overwritten: other allocators keep the block's size there. */
#include "misuse.h"

int main(void)
{
    allocate_neighbours(120);
    for (int i = 1; i < NEIGHBOURS; i++)
        ((size_t *)neighbours[i])[-1] = 0x1001;
    free_neighbours();
    return go_on(120);
}
