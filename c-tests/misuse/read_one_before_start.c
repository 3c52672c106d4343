/* A byte before the start of a block is read. On several blocks in turn. */
#include "misuse.h"

int main(void)
{
    for (int turn = 0; turn < TURNS; turn++) {
        block = allocate(64);
        byte = block[-1];
        free(block);
    }
    return go_on(64);
}
