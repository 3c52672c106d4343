/* A block of 3 MiB is freed twice. */
#include "misuse.h"

int main(void)
{
    block = allocate(3 * MIB);
    free(block);
    free(block);
    return go_on(3 * MIB);
}
