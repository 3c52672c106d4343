/* A block that realloc made smaller is used at its old size. On several blocks in turn. */
#include "misuse.h"

int main(void)
{
    for (int turn = 0; turn < TURNS; turn++) {
        block = allocate(120);
        block = realloc(block, 72);
        CHECK(block != NULL);
        block[100] = 1;
        free(block);
    }
    return go_on(72);
}
