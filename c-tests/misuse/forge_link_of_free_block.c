/* The link of a free block is made to point to a variable, and blocks are allocated until
   malloc returns that. */
#include "misuse.h"

static char target[64] __attribute__((aligned(16)));

int main(void)
{
    block = allocate(64);
    char *volatile other = allocate(64);
    free(other);
    free(block);
    *(char **)block = target;
    return go_on_until_issued(64, target);
}
