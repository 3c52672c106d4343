/* The links of hundreds of free blocks are made to point to a variable. */
#include "misuse.h"

static char target[64] __attribute__((aligned(16)));

int main(void)
{
    allocate_neighbours(64);
    free_neighbours();
    for (int i = 0; i < NEIGHBOURS; i++)
        *(char **)neighbours[i] = target;
    return go_on_until_issued(64, target);
}
