/* A block is overflowed by its thread and freed by another. */
#include "misuse.h"

static void *misuse(void *unused)
{
    free_neighbours();
    return unused;
}

int main(void)
{
    allocate_neighbours(64);
    for (int i = 0; i < NEIGHBOURS; i++)
        neighbours[i][64] = 1;
    elsewhere(misuse);
    return go_on(64);
}
