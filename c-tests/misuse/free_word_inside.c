/* A pointer that was moved by 8 is freed. */
#include "misuse.h"

int main(void)
{
    block = allocate(64);
    free(block + 8);
    return go_on(64);
}
