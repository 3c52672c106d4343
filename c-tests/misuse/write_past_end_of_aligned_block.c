/* A byte is written behind a block of larger alignment. On several blocks in turn. */
#include "misuse.h"

int main(void)
{
    for (int turn = 0; turn < TURNS; turn++) {
        block = aligned_alloc(64, 192);
        block[192] = 1;
        free(block);
    }
    return go_on(192);
}
