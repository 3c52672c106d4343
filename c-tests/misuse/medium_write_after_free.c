/* A block of 100 KiB is written after free. */
#include "misuse.h"

int main(void)
{
    block = allocate(100 * KIB);
    free(block);
    block[50 * KIB] = 1;
    return go_on(100 * KIB);
}
