/* A freed block is grown. */
#include "misuse.h"

int main(void)
{
    block = allocate(64);
    free(block);
    block = realloc(block, 500);
    return go_on(64);
}
