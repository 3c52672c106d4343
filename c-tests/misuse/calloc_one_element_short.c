/* An array has one element less than it is filled with. On several blocks in turn. */
#include "misuse.h"

int main(void)
{
    for (int turn = 0; turn < TURNS; turn++) {
        block = calloc(7, 24);
        memset(block, 7, 8 * 24);
        free(block);
    }
    return go_on(7 * 24);
}
