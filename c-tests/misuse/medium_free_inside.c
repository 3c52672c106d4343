/* A pointer into the middle of a block of 100 KiB is freed. */
#include "misuse.h"

int main(void)
{
    block = allocate(100 * KIB);
    free(block + 50 * KIB);
    return go_on(100 * KIB);
}
