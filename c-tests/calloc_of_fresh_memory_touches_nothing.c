/* expect: exit 0
   modes: link preload */
#include "check.h"

int main(void)
{
    size_t before = resident_bytes();
    void *block[8];
    for (int i = 0; i < 8; i++)
        CHECK((block[i] = calloc(128 * MIB, 1)) != NULL);
    CHECK(resident_bytes() < before + 4 * MIB);
    for (int i = 0; i < 8; i++)
        free(block[i]);
    return 0;
}
