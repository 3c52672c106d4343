/* expect: abort "fatal: write past the end of a block: ptr=0x" " bytes=69997 offset=69999 door=free"
   modes: link static
   under: GLEBE_HARDENED=1
   The three bytes between the block's end and the guard are looked over when it is freed. */
#include "check.h"
#include "glebe.h"

int main(void)
{
    volatile char *block = glebe_guarded_alloc(16, 69997);
    CHECK(block);
    block[69999] = 0;
    free((void *)block);
    return 0;
}
