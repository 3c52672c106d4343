/* A pointer that was moved to a block's end is freed. */
#include "misuse.h"

int main(void)
{
    block = allocate(1000);
    free(block + 1000);
    free(block);
    return go_on(1000);
}
