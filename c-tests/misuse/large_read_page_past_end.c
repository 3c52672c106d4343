/* 4096 bytes behind a block of 5,000,000 are read. */
#include "misuse.h"

int main(void)
{
    block = allocate(5000000);
    for (int i = 0; i < 4096; i++)
        byte = block[5000000 + i];
    free(block);
    return go_on(5000000);
}
