/* expect: abort "fatal: write before the start of a block: ptr=0x" " offset=-1"
   modes: link static
   under: GLEBE_HARDENED=1
   under: GLEBE_HARDENED=1 GLEBE_GUARD=mprotect */
#include "slab_guards.h"

int main(void)
{
    volatile char *guard = guard_page_of_a_slab();
    guard[sysconf(_SC_PAGESIZE) - 1] = 1;
    return 0;
}
