/* expect: abort "fatal: realloc inside a block: ptr=0x"
   modes: link preload static */
#include "check.h"

int main(void)
{
    char *block = malloc(1000);
    return realloc(block + 16, 5000) == NULL;
}
