/* A pointer into a block is grown. */
#include "misuse.h"

int main(void)
{
    block = allocate(100);
    block = realloc(block + 16, 500);
    return go_on(100);
}
