/* A record is answered with as many bytes as the caller claims it has. On several blocks in
   turn. */
#include "misuse.h"

static char answer[65536];

int main(void)
{
    for (int turn = 0; turn < TURNS; turn++) {
        block = allocate(32);
        memcpy(answer, block, sizeof answer);
        free(block);
    }
    return go_on(32);
}
