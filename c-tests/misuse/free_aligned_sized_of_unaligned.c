/* A block of malloc is freed as one of larger alignment. */
#include "misuse.h"

int main(void)
{
    do
        block = allocate(80);
    while ((uintptr_t)block % 64 == 0);
    release_aligned_sized(block, 64, 80);
    return go_on(80);
}
