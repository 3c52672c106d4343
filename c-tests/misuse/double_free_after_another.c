/* A block is freed twice, another one between. */
#include "misuse.h"

int main(void)
{
    block = allocate(64);
    char *volatile other = allocate(64);
    free(block);
    free(other);
    free(block);
    return go_on(64);
}
