/* A byte in the middle of a block is written after free. */
#include "misuse.h"

int main(void)
{
    block = allocate(200);
    free(block);
    block[100] = 1;
    return go_on(200);
}
