/* memcpy takes the size of the source, which is larger than the destination. On several blocks
   in turn. */
#include "misuse.h"

static char source[160];

int main(void)
{
    for (int turn = 0; turn < TURNS; turn++) {
        block = allocate(100);
        memcpy(block, source, sizeof source);
        free(block);
    }
    return go_on(100);
}
