/* expect: abort "fatal: malloc_usable_size inside a block: ptr=0x"
   modes: link preload static */
#include "check.h"

int main(void)
{
    char *block = malloc(1000);
    return malloc_usable_size(block + 16) != 0;
}
