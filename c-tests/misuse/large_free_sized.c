/* A block of 3 MiB is freed as one of 4 MiB. */
#include "misuse.h"

int main(void)
{
    block = allocate(3 * MIB);
    release_sized(block, 4 * MIB);
    return go_on(3 * MIB);
}
