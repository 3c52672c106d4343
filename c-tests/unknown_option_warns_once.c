/* expect: exit 0 "warning: " "GLEBE_NONSENSE"
   modes: link preload static
   under: GLEBE_NONSENSE=1 GLEBE_SOURCE=mmap */
#include "check.h"

int main(void)
{
    free(malloc(1));
    return 0;
}
