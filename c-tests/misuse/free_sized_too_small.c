/* A block of 100 bytes is freed as one of 40. */
#include "misuse.h"

int main(void)
{
    block = allocate(100);
    release_sized(block, 40);
    return go_on(100);
}
