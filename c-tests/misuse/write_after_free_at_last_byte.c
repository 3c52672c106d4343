/* The last byte of a block is written after free. */
#include "misuse.h"

int main(void)
{
    block = allocate(96);
    free(block);
    block[95] = 1;
    return go_on(96);
}
