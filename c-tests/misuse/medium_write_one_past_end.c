/* A byte is written right behind a block of 200 KiB. */
#include "misuse.h"

int main(void)
{
    block = allocate(200 * KIB);
    block[200 * KIB] = 1;
    free(block);
    return go_on(200 * KIB);
}
