/* expect: exit 3 "{" "live_bytes" "heap_bytes" "fork_generation" "}"
   modes: link preload static
   under: GLEBE_STATS=json
   One object on one line, whatever way the program ends by exit. */
#include "check.h"

int main(void)
{
    free(malloc(1));
    exit(3);
}
