/* malloc(0) gives a block without bytes. On several blocks in turn. */
#include "misuse.h"

int main(void)
{
    for (int turn = 0; turn < TURNS; turn++) {
        block = allocate(0);
        block[0] = 1;
        free(block);
    }
    return go_on(0);
}
