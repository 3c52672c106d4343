/* A block that realloc made smaller is used at its old size. */
#include "misuse.h"

int main(void)
{
    block = allocate(6 * MIB);
    block = realloc(block, 3 * MIB);
    CHECK(block != NULL);
    memset(block, 1, 6 * MIB);
    free(block);
    return go_on(3 * MIB);
}
