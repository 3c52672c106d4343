/* expect: exit 0 "error: double free: ptr=0x"
   modes: link preload static
   under: GLEBE_ON_ERROR=continue
   The block stays free once: it is issued once, not twice. */
#include "check.h"

int main(void)
{
    void *block = malloc(200 * KIB), *issued[100];
    free(block);
    free(block);
    for (int i = 0; i < 100; i++) {
        issued[i] = malloc(200 * KIB);
        fill(issued[i], 200 * KIB, i);
    }
    for (int i = 0; i < 100; i++)
        CHECK(holds(issued[i], 200 * KIB, i));
    return 0;
}
