/* expect: exit 0
   modes: link preload static
   under: nothing
   under: confine refuse=madvise,munmap,mremap
   under: GLEBE_HARDENED=1
   under: GLEBE_SAMPLE=100000
   Also where the system calls that give memory back fail. */
#include "check.h"

int main(void)
{
    for (size_t size = 1; size <= 256 * MIB; size *= 2)
        for (int round = 0; round < 4; round++) {
            void *block[4];
            for (int i = 0; i < 4; i++) {
                block[i] = malloc(size);
                CHECK(block[i] != NULL);
                *(char *)block[i] = 1;
            }
            for (int i = 0; i < 4; i++) {
                errno = 12345;
                free(block[i]);
                CHECK(errno == 12345);
            }
        }
    free(NULL);
    CHECK(errno == 12345);
    return 0;
}
