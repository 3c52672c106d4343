/* A byte is written behind a block of odd size, where the next 16 bytes are still nobody's. On
   several blocks in turn. */
#include "misuse.h"

int main(void)
{
    for (int turn = 0; turn < TURNS; turn++) {
        block = allocate(45);
        block[45] = 1;
        free(block);
    }
    return go_on(45);
}
