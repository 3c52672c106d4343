/* A thread reads behind a block of 4 MiB of another's. */
#include "misuse.h"

static void *misuse(void *unused)
{
    byte = block[4 * MIB];
    return unused;
}

int main(void)
{
    block = allocate(4 * MIB);
    elsewhere(misuse);
    free(block);
    return go_on(4 * MIB);
}
