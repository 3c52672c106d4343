/* A block is freed twice. */
#include "misuse.h"

int main(void)
{
    block = allocate(64);
    free(block);
    free(block);
    return go_on(64);
}
