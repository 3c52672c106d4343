/* A byte is written at the end of the 64 KiB that a block lies in. */
#include "misuse.h"

int main(void)
{
    allocate_neighbours(64);
    block = neighbours[NEIGHBOURS - 1];
    ((char *)((uintptr_t)block | 0xffff))[0] = 1;
    free_neighbours();
    return go_on(64);
}
