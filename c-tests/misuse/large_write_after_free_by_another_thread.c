/* A thread writes to a block of 3 MiB that its owner freed. */
#include "misuse.h"

static void *misuse(void *unused)
{
    block[0] = 1;
    return unused;
}

int main(void)
{
    block = allocate(3 * MIB);
    free(block);
    elsewhere(misuse);
    return go_on(3 * MIB);
}
