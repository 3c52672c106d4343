/* A number is freed. */
#include "misuse.h"

int main(void)
{
    block = (char *)(uintptr_t)0x123456789ab0;
    free(block);
    return go_on(64);
}
