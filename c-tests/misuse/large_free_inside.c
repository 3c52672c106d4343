/* A pointer 4096 bytes into a block of 3 MiB is freed. */
#include "misuse.h"

int main(void)
{
    block = allocate(3 * MIB);
    free(block + 4096);
    return go_on(3 * MIB);
}
