/* A stale pointer is written to once its block has a new owner. */
#include "misuse.h"

int main(void)
{
    block = allocate(64);
    free(block);
    char *volatile owner = NULL;
    for (int i = 0; i < 100000 && owner != block; i++) {
        free(owner);
        owner = allocate(64);
    }
    block[8] = 1;
    free(owner);
    return go_on(64);
}
