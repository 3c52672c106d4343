/* A word is written before the start of blocks whose neighbours are free. */
#include "misuse.h"

int main(void)
{
    allocate_neighbours(96);
    for (int i = 0; i < NEIGHBOURS; i += 2)
        free(neighbours[i]);
    for (int i = 1; i < NEIGHBOURS; i += 2) {
        ((size_t *)neighbours[i])[-1] = 0x1001;
        free(neighbours[i]);
    }
    return go_on(96);
}
