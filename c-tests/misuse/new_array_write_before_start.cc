/* An index of -1 into an array of new[]. */
#include "misuse.h"

int main()
{
    long *arrays[NEIGHBOURS];
    for (int i = 0; i < NEIGHBOURS; i++)
        arrays[i] = new long[20];
    for (int i = 1; i < NEIGHBOURS; i++)
        arrays[i][-1] = 1;
    for (int i = 0; i < NEIGHBOURS; i++)
        delete[] arrays[i];
    return go_on(20 * sizeof(long));
}
