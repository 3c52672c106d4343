/* 4096 bytes are written behind a block. On several blocks in turn. */
#include "misuse.h"

int main(void)
{
    for (int turn = 0; turn < TURNS; turn++) {
        block = allocate(80);
        memset(block, 3, 80 + 4096);
        free(block);
    }
    return go_on(80);
}
