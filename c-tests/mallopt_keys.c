/* expect: exit 0
   modes: link preload static
   A key without a meaning here answers 0, one with a meaning 1; allocation goes on either way. */
#include "check.h"

int main(void)
{
    CHECK(mallopt(4711, 1) == 0);
    CHECK(mallopt(-4711, 1) == 0);
    CHECK(mallopt(M_MXFAST, 64) == 0);
    CHECK(mallopt(M_TRIM_THRESHOLD, 0) == 1);
    for (int key = -20; key <= 2; key++) {
        int answer = mallopt(key, 1 << 20);
        CHECK(answer == 0 || answer == 1);
        void *block = malloc(100);
        CHECK(block != NULL);
        free(block);
    }
    return 0;
}
