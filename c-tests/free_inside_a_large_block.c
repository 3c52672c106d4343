/* expect: abort "fatal: free inside a block: ptr=0x"
   modes: link preload static */
#include "check.h"

int main(void)
{
    char *block = malloc(3000000);
    free(block + 48);
    return 0;
}
