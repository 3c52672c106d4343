/* expect: exit 0
   modes: link preload static
   under: nothing
   under: GLEBE_SAMPLE=100000 */
#include "check.h"

int main(void)
{
    enum { COUNT = 1000 };
    void *block[COUNT];
    for (int i = 0; i < COUNT; i++) {
        block[i] = i % 3 == 0 ? malloc(0) : i % 3 == 1 ? calloc(0, 8) : realloc(NULL, 0);
        CHECK(block[i] != NULL);
        for (int j = 0; j < i; j++)
            CHECK(block[i] != block[j]);
    }
    for (int i = 0; i < COUNT; i++)
        free(block[i]);
    return 0;
}
