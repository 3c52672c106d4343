/* A block of 300 KiB is read after free. */
#include "misuse.h"

int main(void)
{
    block = allocate(300 * KIB);
    free(block);
    byte = block[10];
    return go_on(300 * KIB);
}
