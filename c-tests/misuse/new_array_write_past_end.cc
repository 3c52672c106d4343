/* An array of new[] is written to at its size. On several blocks in turn. */
#include "misuse.h"

int main()
{
    for (int turn = 0; turn < TURNS; turn++) {
        block = (char *)new long[12];
        ((long *)block)[12] = 1;
        delete[] (long *)block;
    }
    return go_on(12 * sizeof(long));
}
