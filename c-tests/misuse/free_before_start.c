/* A pointer 16 bytes before a block is freed: inside the block before, since the slab has one.
   */
#include "misuse.h"

int main(void)
{
    allocate_neighbours(1000);
    int i = NEIGHBOURS - 1;
    while ((uintptr_t)neighbours[i] % (64 * KIB) < 4096)
        i--;
    free(neighbours[i] - 16);
    free_neighbours();
    return go_on(1000);
}
