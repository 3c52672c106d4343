/* A block is freed by its owner and by another thread. */
#include "misuse.h"

static void *misuse(void *unused)
{
    free(block);
    return unused;
}

int main(void)
{
    block = allocate(64);
    free(block);
    elsewhere(misuse);
    return go_on(64);
}
