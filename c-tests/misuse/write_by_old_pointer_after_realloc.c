/* A block that realloc moved is written by its old address. */
#include "misuse.h"

int main(void)
{
    block = allocate(64);
    char *volatile beside = allocate(64);
    char *volatile grown = realloc(block, 4096);
    CHECK(grown != NULL && grown != block);
    block[20] = 1;
    free(grown);
    free(beside);
    return go_on(64);
}
