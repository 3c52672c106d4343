/* expect: exit 0 "warning: " "GLEBE_DIRTY_MIB" "0" "65536"
   modes: link preload static
   under: GLEBE_DIRTY_MIB=65537
   under: GLEBE_DIRTY_MIB=-1
   under: GLEBE_DIRTY_MIB=4k
   under: GLEBE_DIRTY_MIB=99999999999999999999999 */
#include "check.h"

int main(void)
{
    free(malloc(1));
    return 0;
}
