/* 4096 bytes are written behind a block of 50,000. */
#include "misuse.h"

int main(void)
{
    block = allocate(50000);
    memset(block, 1, 50000 + 4096);
    free(block);
    return go_on(50000);
}
