/* A byte is written right behind a block of 3 MiB. */
#include "misuse.h"

int main(void)
{
    block = allocate(3 * MIB);
    block[3 * MIB] = 1;
    free(block);
    return go_on(3 * MIB);
}
