/* expect: abort "fatal: write after free: ptr=0x" " bytes=70000 offset=69999"
   modes: link static
   under: GLEBE_HARDENED=1
   under: GLEBE_GUARD=mprotect */
#include "check.h"
#include "glebe.h"

int main(void)
{
    volatile char *block = glebe_guarded_alloc(16, 70000);
    CHECK(block);
    free((void *)block);
    for (int i = 0; i < 100; i++)
        free(glebe_guarded_alloc(16, 70000));
    block[69999] = 1;
    return 0;
}
