/* A block is freed again after a program went on with another size. */
#include "misuse.h"

int main(void)
{
    block = allocate(4000);
    free(block);
    go_on(64);
    free(block);
    return go_on(4000);
}
