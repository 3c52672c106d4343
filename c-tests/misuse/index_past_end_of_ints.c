/* The loop over an array runs to <= instead of <. On several blocks in turn. */
#include "misuse.h"

int main(void)
{
    for (int turn = 0; turn < TURNS; turn++) {
        block = allocate(10 * sizeof(int));
        for (int i = 0; i <= 10; i++)
            ((int *)block)[i] = i;
        free(block);
    }
    return go_on(10 * sizeof(int));
}
