/* A block of 64 KiB is overflowed in a thread that did not allocate it. */
#include "misuse.h"

static void *misuse(void *unused)
{
    block[64 * KIB] = 1;
    return unused;
}

int main(void)
{
    block = allocate(64 * KIB);
    elsewhere(misuse);
    free(block);
    return go_on(64 * KIB);
}
