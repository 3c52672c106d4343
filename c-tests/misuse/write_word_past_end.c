/* A pointer is stored behind a block. On several blocks in turn. */
#include "misuse.h"

int main(void)
{
    for (int turn = 0; turn < TURNS; turn++) {
        block = allocate(96);
        *(char **)(block + 96) = block;
        free(block);
    }
    return go_on(96);
}
