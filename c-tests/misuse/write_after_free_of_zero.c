/* A counter in a block is cleared after free. */
#include "misuse.h"

int main(void)
{
    block = allocate(64);
    block[8] = 5;
    free(block);
    block[8] = 0;
    return go_on(64);
}
