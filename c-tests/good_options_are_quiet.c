/* expect: exit 0
   modes: link preload static
   under: GLEBE_SOURCE=auto GLEBE_ON_ERROR=abort GLEBE_DEEPBIND=drop GLEBE_STATS=off
   under: GLEBE_SOURCE=break GLEBE_ON_ERROR=continue GLEBE_DEEPBIND=keep GLEBE_PURGE=call
   under: GLEBE_PURGE=thread GLEBE_PURGE_DELAY_MS=3600000 GLEBE_DIRTY_MIB=65536
   under: GLEBE_PURGE_DELAY_MS=0 GLEBE_DIRTY_MIB=0 GLEBENOT=1 NOTGLEBE_SOURCE=1 */
#include "check.h"

int main(void)
{
    free(malloc(1));
    return 0;
}
