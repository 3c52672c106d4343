/* A pointer into another thread's block is freed. */
#include "misuse.h"

static void *misuse(void *unused)
{
    free(block + 16);
    return unused;
}

int main(void)
{
    block = allocate(200);
    elsewhere(misuse);
    return go_on(200);
}
