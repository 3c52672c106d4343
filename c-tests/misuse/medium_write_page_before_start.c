/* The 4096 bytes before a block of 100,000 are overwritten, the nearest first. */
#include "misuse.h"

int main(void)
{
    block = allocate(100000);
    for (int i = 1; i <= 4096; i++)
        block[-i] = 1;
    free(block);
    return go_on(100000);
}
