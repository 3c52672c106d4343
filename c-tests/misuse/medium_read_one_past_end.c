/* A byte is read right behind a block of 64 KiB. */
#include "misuse.h"

int main(void)
{
    block = allocate(64 * KIB);
    byte = block[64 * KIB];
    free(block);
    return go_on(64 * KIB);
}
