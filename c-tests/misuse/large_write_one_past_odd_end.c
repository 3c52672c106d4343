/* A byte is written behind a block of 3 MiB and 5 bytes. */
#include "misuse.h"

int main(void)
{
    block = allocate(3 * MIB + 5);
    block[3 * MIB + 5] = 1;
    free(block);
    return go_on(3 * MIB + 5);
}
