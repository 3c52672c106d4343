/* An index goes so wrong that another block far away is written to, over its end. */
#include "misuse.h"

int main(void)
{
    allocate_neighbours(64);
    block = neighbours[200];
    ptrdiff_t far = neighbours[300] - block;
    memset(block + far, 3, 64 + 8);
    free_neighbours();
    return go_on(64);
}
