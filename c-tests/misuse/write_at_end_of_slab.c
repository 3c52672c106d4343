/* The last 96 bytes of the 64 KiB that a block lies in are overwritten. */
#include "misuse.h"

int main(void)
{
    allocate_neighbours(64);
    block = neighbours[NEIGHBOURS - 1];
    memset((char *)((uintptr_t)block | 0xffff) - 95, 1, 96);
    free_neighbours();
    return go_on(64);
}
