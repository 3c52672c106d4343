/* The links of blocks that another thread freed are made to point to a variable. */
#include "misuse.h"

static char target[64] __attribute__((aligned(16)));

static void *misuse(void *unused)
{
    free_neighbours();
    return unused;
}

int main(void)
{
    allocate_neighbours(64);
    elsewhere(misuse);
    for (int i = 0; i < NEIGHBOURS; i++)
        *(char **)neighbours[i] = target;
    return go_on_until_issued(64, target);
}
