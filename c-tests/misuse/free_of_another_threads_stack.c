/* A variable on the stack of a thread that ended is freed. */
#include "misuse.h"

static void *misuse(void *unused)
{
    char variable[64] __attribute__((aligned(16))) = "";
    block = variable;
    return unused;
}

int main(void)
{
    elsewhere(misuse);
    free(block);
    return go_on(64);
}
