/* A block is grown, and written to one byte further. On several blocks in turn. */
#include "misuse.h"

int main(void)
{
    for (int turn = 0; turn < TURNS; turn++) {
        block = realloc(allocate(40), 400);
        block[400] = 1;
        free(block);
    }
    return go_on(400);
}
