/* expect: exit 0 "error: write after free: ptr=0x" "bytes=100 offset=7"
   under: GLEBE_SAMPLE=100000 GLEBE_ON_ERROR=continue */
#include "check.h"

int main(void)
{
    char *volatile block = malloc(100);
    CHECK(block && malloc_usable_size(block) == 100);
    free(block);
    ((volatile char *)block)[7] = 1;
    CHECK(block[7] == 1);
    for (int i = 0; i < 1000; i++) {
        char *other = calloc(1, 50 + (size_t)i);
        CHECK(other && holds(other, 50 + (size_t)i, 0));
        free(other);
    }
    return 0;
}
