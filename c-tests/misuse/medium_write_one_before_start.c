/* A byte is written before a block of 128 KiB. */
#include "misuse.h"

int main(void)
{
    block = allocate(128 * KIB);
    block[-1] = 1;
    free(block);
    return go_on(128 * KIB);
}
