/* expect: exit 0
   modes: link preload static */
#include "check.h"

int main(void)
{
    const size_t sizes[] = {1, 1000, 100 * KIB, 4 * MIB};
    for (int s = 0; s < 4; s++) {
        size_t before = 0;
        for (int round = 0; round < 3000; round++) {
            if (round == 100)
                before = resident_after_trim();
            void *block = malloc(sizes[s]);
            CHECK(block != NULL);
            fill(block, sizes[s] < 64 * KIB ? sizes[s] : 64 * KIB, round);
            errno = 7;
            CHECK((round % 2 ? realloc(block, 0) : reallocarray(block, 0, 5)) == NULL);
            CHECK(errno == 7);
        }
        CHECK(resident_after_trim() < before + 2 * MIB + sizes[s]);
    }
    return 0;
}
