/* strlen reads a text that fills its 48 KiB and has no nul. */
#include "misuse.h"

int main(void)
{
    block = allocate(48 * KIB);
    memset(block, 'a', 48 * KIB);
    byte = (char)strlen(block);
    free(block);
    return go_on(48 * KIB);
}
