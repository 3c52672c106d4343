/* A block is freed by a stale pointer once it has a new owner, who frees it too. */
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
    free(block);
    free(owner);
    return go_on(64);
}
