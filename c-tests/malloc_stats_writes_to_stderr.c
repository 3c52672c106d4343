/* expect: exit 0 "large live blocks" "1"
   modes: link preload static */
#include "check.h"

int main(void)
{
    CHECK(malloc(12345678) != NULL);
    malloc_stats();
    return 0;
}
