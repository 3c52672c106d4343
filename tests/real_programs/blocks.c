/* 12345 blocks of 777 bytes, all but the last 45 freed in another order; what debuggers and profilers look at. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 12345, KEPT = 45, SIZE = 777 };
static char *blocks[BLOCKS];

__attribute__((noinline)) static int take(int count) {
    for (int i = 0; i < count; i++) {
        blocks[i] = malloc(SIZE);
        if (!blocks[i]) return i;
        memset(blocks[i], i, SIZE);
    }
    return count;
}

__attribute__((noinline)) static int give_back(int count) {
    int sum = 0;
    for (int i = count - KEPT - 1; i >= 0; i--) {
        sum += blocks[i][SIZE - 1] == (char)i;
        free(blocks[i]);
    }
    return sum;
}

int main(void) {
    int taken = take(BLOCKS);
    int intact = give_back(taken);
    printf("%d taken, %d intact\n", taken, intact);
    return 0;
}
