/* expect: exit 0
   modes: link preload
   under: nothing
   under: GLEBE_HARDENED=1
   cfree is gone from glibc's headers and C23's free_sized not yet in them. */
#include "check.h"
#include <dlfcn.h>

int main(void)
{
    void (*cfree)(void *) = (void (*)(void *))dlsym(RTLD_DEFAULT, "cfree");
    void (*free_sized)(void *, size_t) =
        (void (*)(void *, size_t))dlsym(RTLD_DEFAULT, "free_sized");
    void (*free_aligned_sized)(void *, size_t, size_t) =
        (void (*)(void *, size_t, size_t))dlsym(RTLD_DEFAULT, "free_aligned_sized");
    CHECK(cfree && free_sized && free_aligned_sized);
    cfree(NULL);
    free_sized(NULL, 5);
    free_aligned_sized(NULL, 64, 5);
    size_t before = 0;
    for (int round = 0; round < 200; round++) {
        if (round == 50)
            before = resident_after_trim();
        for (size_t size = 1; size < 3 * MIB; size = size * 3 + 1) {
            void *block[3] = {malloc(size), malloc(size), aligned_alloc(64, size)};
            for (int i = 0; i < 3; i++)
                fill(block[i], size, i);
            errno = 7;
            cfree(block[0]);
            free_sized(block[1], size);
            free_aligned_sized(block[2], 64, size);
            CHECK(errno == 7);
        }
    }
    CHECK(resident_after_trim() < before + 4 * MIB);
    return 0;
}
