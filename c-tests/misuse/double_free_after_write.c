/* A freed block is overwritten and freed again. */
#include "misuse.h"

int main(void)
{
    block = allocate(64);
    free(block);
    memset(block, 0, 64);
    free(block);
    return go_on(64);
}
