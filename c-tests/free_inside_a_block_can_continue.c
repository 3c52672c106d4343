/* expect: exit 0 "error: free inside a block: ptr=0x"
   modes: link preload static
   under: GLEBE_ON_ERROR=continue
   Nothing is freed: the block keeps its contents and can be freed by its start. */
#include "check.h"

int main(void)
{
    char *block = malloc(1000);
    fill(block, 1000, 6);
    errno = 7;
    free(block + 16);
    CHECK(errno == 7);
    for (int i = 0; i < 1000; i++) {
        char *other = malloc(1000);
        fill(other, 1000, 7);
    }
    CHECK(holds(block, 1000, 6));
    free(block);
    return 0;
}
