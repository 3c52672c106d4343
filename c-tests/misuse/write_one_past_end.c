/* A byte is written right behind a block of a size that its class has. On several blocks in
   turn. */
#include "misuse.h"

int main(void)
{
    for (int turn = 0; turn < TURNS; turn++) {
        block = allocate(64);
        block[64] = 1;
        free(block);
    }
    return go_on(64);
}
