/* A block of 50 KiB is freed by another thread and then by its owner. */
#include "misuse.h"

static void *misuse(void *unused)
{
    free(block);
    return unused;
}

int main(void)
{
    block = allocate(50 * KIB);
    elsewhere(misuse);
    free(block);
    return go_on(50 * KIB);
}
