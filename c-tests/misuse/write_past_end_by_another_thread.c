/* Blocks are overflowed in a thread that did not allocate them. */
#include "misuse.h"

static void *misuse(void *unused)
{
    for (int i = 0; i < NEIGHBOURS; i++)
        neighbours[i][64] = 1;
    return unused;
}

int main(void)
{
    allocate_neighbours(64);
    elsewhere(misuse);
    free_neighbours();
    return go_on(64);
}
