/* A block of 8 MiB is read after free. */
#include "misuse.h"

int main(void)
{
    block = allocate(8 * MIB);
    free(block);
    byte = block[0];
    return go_on(8 * MIB);
}
