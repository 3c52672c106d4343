/* A freed block of 3 MiB is grown. */
#include "misuse.h"

int main(void)
{
    block = allocate(3 * MIB);
    free(block);
    block = realloc(block, 5 * MIB);
    return go_on(3 * MIB);
}
