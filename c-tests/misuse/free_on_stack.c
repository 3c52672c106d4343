/* A variable on the stack is freed. */
#include "misuse.h"

int main(void)
{
    char variable[64] __attribute__((aligned(16))) = "";
    block = variable;
    free(block);
    return go_on(64);
}
