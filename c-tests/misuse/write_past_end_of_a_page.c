/* A byte is written behind a block of 4096 bytes. On several blocks in turn. */
#include "misuse.h"

int main(void)
{
    for (int turn = 0; turn < TURNS; turn++) {
        block = allocate(4096);
        block[4096] = 1;
        free(block);
    }
    return go_on(4096);
}
