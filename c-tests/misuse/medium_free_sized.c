/* A block of 100,000 bytes is freed as one of 100. */
#include "misuse.h"

int main(void)
{
    block = allocate(100000);
    release_sized(block, 100);
    return go_on(100000);
}
