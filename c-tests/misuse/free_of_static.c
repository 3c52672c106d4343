/* A static variable is freed. */
#include "misuse.h"

static char variable[64] __attribute__((aligned(16)));

int main(void)
{
    block = variable;
    free(block);
    return go_on(64);
}
