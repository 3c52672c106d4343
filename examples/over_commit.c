#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include "moment.h"

enum { BLOCKS = 1 << 16 };

int main(void)
{
    static long *block[BLOCKS]; /* of 1 KiB each: 64 MiB */
    for (long i = 0; i < BLOCKS; i++) {
        block[i] = malloc(1024);
        for (int j = 0; j < 128; j++)
            block[i][j] = i + j;
        if (i == BLOCKS / 8)
            moment();
    }
    moment();
    long wrong = 0;
    for (long i = 0; i < BLOCKS; i++)
        for (int j = 0; j < 128; j++)
            wrong += block[i][j] != i + j;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("%ld wrong words\n", wrong);
    printf("peak of memory: %s 32 MiB\n", usage.ru_maxrss < 32 << 10 ? "below" : "above");
}
