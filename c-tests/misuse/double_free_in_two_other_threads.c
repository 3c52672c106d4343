/* A block is freed by two threads, neither of which allocated it. */
#include "misuse.h"

static void *misuse(void *unused)
{
    free(block);
    return unused;
}

int main(void)
{
    block = allocate(64);
    elsewhere(misuse);
    elsewhere(misuse);
    return go_on(64);
}
