/* A block of malloc is freed as one of larger alignment. */
#include "misuse.h"

int main(void)
{
    do
        block = allocate(80);
    while ((uintptr_t)block % 4096 == 0);
    release_aligned_sized(block, 4096, 80);
    return go_on(80);
}
