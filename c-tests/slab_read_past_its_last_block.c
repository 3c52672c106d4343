/* expect: abort "fatal: read past the end of a block: ptr=0x" " block=0x" " bytes=1000 " " offset="
   modes: link static
   under: GLEBE_HARDENED=1
   under: GLEBE_HARDENED=1 GLEBE_GUARD=mprotect */
#include "slab_guards.h"

int main(void)
{
    volatile char *guard = guard_page_of_a_slab();
    return *guard;
}
