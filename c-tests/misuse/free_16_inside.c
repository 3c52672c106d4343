/* A pointer that was moved by 16 is freed, where another class has blocks. */
#include "misuse.h"

int main(void)
{
    block = allocate(320);
    free(block + 16);
    return go_on(320);
}
