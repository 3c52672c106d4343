/* expect: exit 0 "in use bytes"
   modes: link preload static
   As glibc: the lines "system bytes" and "in use bytes" on standard error. */
#include "check.h"
#include <malloc.h>

int main(void)
{
    CHECK(malloc(12345) != NULL);
    malloc_stats();
    return 0;
}
