/* A block is written 8 bytes too far, over the link of a free neighbour. */
#include "misuse.h"

int main(void)
{
    allocate_neighbours(64);
    for (int i = 1; i < NEIGHBOURS; i += 2)
        free(neighbours[i]);
    for (int i = 0; i < NEIGHBOURS; i += 2)
        memset(neighbours[i], 'a', 64 + 8);
    for (int i = 0; i < NEIGHBOURS; i += 2)
        free(neighbours[i]);
    return go_on(64);
}
