/* A byte is written behind a block of 100,001 bytes, where the page goes on for a few. */
#include "misuse.h"

int main(void)
{
    block = allocate(100001);
    block[100001] = 1;
    free(block);
    return go_on(100001);
}
