/* A loop that lost its end writes downwards, from a slab that has another before it. */
#include "misuse.h"

int main(void)
{
    for (int round = 0; round < 20; round++)
        allocate_neighbours(64);
    block = neighbours[0];
    for (size_t i = 1; i < GIB; i++)
        block[-(ptrdiff_t)i] = 5;
    return go_on(64);
}
