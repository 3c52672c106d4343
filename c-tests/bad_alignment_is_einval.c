/* expect: exit 0
   modes: link preload static */
#include "check.h"

int main(void)
{
    const size_t bad[] = {0, 3, 5, 12, 24, 48, 4095, 4097, GIB + 1, SIZE_MAX, SIZE_MAX / 2};
    for (int i = 0; i < 11; i++) {
        errno = 0;
        CHECK(aligned_alloc(bad[i], 100) == NULL && errno == EINVAL);
        void *out = &out;
        errno = 7;
        CHECK(posix_memalign(&out, bad[i], 100) == EINVAL && errno == 7 && out == &out);
    }
    void *out = &out;
    for (size_t small = 1; small < sizeof(void *); small *= 2)
        CHECK(posix_memalign(&out, small, 100) == EINVAL && out == &out);
    /* Beyond the documented 1 GiB: refused or right, never wrong. */
    for (size_t alignment = 2 * GIB; alignment != 0; alignment *= 2) {
        errno = 0;
        void *block = aligned_alloc(alignment, 100);
        CHECK(block ? (uintptr_t)block % alignment == 0 : errno == EINVAL || errno == ENOMEM);
        free(block);
    }
    return 0;
}
