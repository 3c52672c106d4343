/* A block of 3 MiB is written after free. */
#include "misuse.h"

int main(void)
{
    block = allocate(3 * MIB);
    free(block);
    block[3 * MIB - 1] = 1;
    return go_on(3 * MIB);
}
