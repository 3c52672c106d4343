/* A whole block is written after free. */
#include "misuse.h"

int main(void)
{
    block = allocate(1000);
    free(block);
    memset(block, 1, 1000);
    return go_on(1000);
}
