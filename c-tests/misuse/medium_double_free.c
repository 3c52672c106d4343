/* A block of 200 KiB is freed twice. */
#include "misuse.h"

int main(void)
{
    block = allocate(200 * KIB);
    free(block);
    free(block);
    return go_on(200 * KIB);
}
