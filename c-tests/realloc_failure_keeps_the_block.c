/* expect: exit 0
   modes: link preload static
   under: confine as=1G */
#include "check.h"

int main(void)
{
    const size_t sizes[] = {10, 1000, 100 * KIB, 3 * MIB};
    for (int s = 0; s < 4; s++) {
        void *block = malloc(sizes[s]);
        fill(block, sizes[s], 3);
        errno = 0;
        CHECK(realloc(block, 4 * GIB) == NULL && errno == ENOMEM);
        CHECK(reallocarray(block, GIB, 3) == NULL && errno == ENOMEM);
        CHECK(holds(block, sizes[s], 3));
        free(block);
    }
    return 0;
}
