/* A loop that lost its end reads upwards. */
#include "misuse.h"

int main(void)
{
    block = allocate(256);
    for (size_t i = 0; i < GIB; i++)
        byte = block[i];
    return go_on(256);
}
