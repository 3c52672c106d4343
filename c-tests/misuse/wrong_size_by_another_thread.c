/* A thread frees another's block with a wrong size. */
#include "misuse.h"

static void *misuse(void *unused)
{
    release_sized(block, 50);
    return unused;
}

int main(void)
{
    block = allocate(500);
    elsewhere(misuse);
    return go_on(500);
}
