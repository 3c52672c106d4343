/* A block is freed, then hundreds of others, then the block again. */
#include "misuse.h"

int main(void)
{
    allocate_neighbours(48);
    free_neighbours();
    free(neighbours[0]);
    return go_on(48);
}
