/* expect: exit 0 "error: realloc inside a block: ptr=0x"
   modes: link preload static
   under: GLEBE_ON_ERROR=continue */
#include "check.h"

int main(void)
{
    char *block = malloc(1000);
    fill(block, 1000, 6);
    CHECK(realloc(block + 16, 5000) == NULL);
    CHECK(holds(block, 1000, 6));
    free(block);
    return 0;
}
