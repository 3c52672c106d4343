/* A byte is written before the start of a block. */
#include "misuse.h"

int main(void)
{
    allocate_neighbours(64);
    for (int i = 1; i < NEIGHBOURS; i++)
        neighbours[i][-1] = 1;
    free_neighbours();
    return go_on(64);
}
