/* expect: abort "fatal: write past the end of a block: ptr=0x" " bytes=5000000 offset=5000000"
   modes: link static
   under: GLEBE_HARDENED=1
   under: GLEBE_GUARD=mprotect */
#include "check.h"
#include "glebe.h"

int main(void)
{
    volatile char *block = glebe_guarded_alloc(16, 5000000);
    CHECK(block && (block[4999999] = 1));
    block[5000000] = 1;
    return 0;
}
