/* A block of 100 bytes is freed as one of 101: the same size class. */
#include "misuse.h"

int main(void)
{
    block = allocate(100);
    release_sized(block, 101);
    return go_on(100);
}
