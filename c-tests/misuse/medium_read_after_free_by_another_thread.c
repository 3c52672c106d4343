/* A thread reads a block of 100 KiB that its owner freed. */
#include "misuse.h"

static void *misuse(void *unused)
{
    byte = block[70 * KIB];
    return unused;
}

int main(void)
{
    block = allocate(100 * KIB);
    free(block);
    elsewhere(misuse);
    return go_on(100 * KIB);
}
