/* A byte before a block of 4 MiB is read. */
#include "misuse.h"

int main(void)
{
    block = allocate(4 * MIB);
    byte = block[-1];
    free(block);
    return go_on(4 * MIB);
}
