/* A thread frees another's block, and its owner writes on. */
#include "misuse.h"

static void *misuse(void *unused)
{
    free(block);
    return unused;
}

int main(void)
{
    block = allocate(128);
    elsewhere(misuse);
    *(size_t *)block = 0x4141414141414141;
    return go_on(128);
}
