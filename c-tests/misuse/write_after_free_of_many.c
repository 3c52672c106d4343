/* A block is written after it and many others were freed. */
#include "misuse.h"

int main(void)
{
    allocate_neighbours(128);
    free_neighbours();
    neighbours[0][40] = 1;
    return go_on(128);
}
