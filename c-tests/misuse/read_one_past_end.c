/* A byte is read right behind a block. On several blocks in turn. */
#include "misuse.h"

int main(void)
{
    for (int turn = 0; turn < TURNS; turn++) {
        block = allocate(64);
        byte = block[64];
        free(block);
    }
    return go_on(64);
}
