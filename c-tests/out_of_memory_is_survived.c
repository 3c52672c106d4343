/* expect: exit 0
   modes: preload
   under: confine as=1G
   under: confine data=512M
   under: GLEBE_SOURCE=break confine data=512M
   under: GLEBE_SOURCE=mmap confine as=1G
   NULL and ENOMEM when the limit is reached; after frees the program goes on, and comes as far the
   second time. */
#include "check.h"

static size_t fill_up(size_t size)
{
    void **last = NULL, **next;
    size_t count = 0;
    errno = 0;
    while ((next = malloc(size)) != NULL) {
        *next = last;
        last = next;
        count++;
        CHECK(count < 4 * GIB / size);
    }
    CHECK(errno == ENOMEM);
    /* Another class may still have room. */
    errno = 0;
    void *other = calloc(size, 2);
    CHECK(other || errno == ENOMEM);
    free(other);
    for (; last; last = next) {
        next = *last;
        free(last);
    }
    return count;
}

int main(void)
{
    const size_t sizes[] = {3000, 100 * KIB, 5 * MIB, 100, 20 * KIB, 700 * KIB};
    size_t first[6];
    for (int round = 0; round < 2; round++)
        for (int s = 0; s < 6; s++) {
            size_t count = fill_up(sizes[s]);
            CHECK(count * sizes[s] > 300 * MIB);
            if (round == 0)
                first[s] = count;
            CHECK(count >= first[s] - first[s] / 5);
        }
    return 0;
}
