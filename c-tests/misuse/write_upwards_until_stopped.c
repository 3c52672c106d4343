/* A loop that lost its end writes upwards. */
#include "misuse.h"

int main(void)
{
    block = allocate(64);
    for (size_t i = 0; i < GIB; i++)
        block[i] = 5;
    return go_on(64);
}
