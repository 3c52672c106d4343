/* A block is written by a thread that does not know that it was freed. */
#include "misuse.h"

static void *misuse(void *unused)
{
    block[64] = 1;
    return unused;
}

int main(void)
{
    block = allocate(128);
    free(block);
    elsewhere(misuse);
    return go_on(128);
}
