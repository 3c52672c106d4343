/* 64 bytes are written behind a block, over what follows it. On several blocks in turn. */
#include "misuse.h"

int main(void)
{
    for (int turn = 0; turn < TURNS; turn++) {
        block = allocate(48);
        memset(block, 3, 48 + 64);
        free(block);
    }
    return go_on(48);
}
