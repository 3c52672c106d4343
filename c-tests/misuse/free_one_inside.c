/* A pointer that was moved by 1 is freed. */
#include "misuse.h"

int main(void)
{
    block = allocate(64);
    free(block + 1);
    return go_on(64);
}
