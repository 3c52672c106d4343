/* A block is read after free. */
#include "misuse.h"

int main(void)
{
    block = allocate(64);
    free(block);
    byte = block[20];
    return go_on(64);
}
