/* expect: abort "fatal: read before the start of a block: ptr=0x" " bytes=100 offset=-1"
   modes: link static
   under: GLEBE_HARDENED=1 */
#include "check.h"
#include "glebe.h"

int main(void)
{
    volatile char *block = glebe_guarded_alloc((size_t)sysconf(_SC_PAGESIZE), 100);
    CHECK(block && block[0] == 0);
    return block[-1];
}
