/* expect: exit 0
   modes: link preload static
   under: GLEBE_SOURCE=break
   under: GLEBE_SOURCE=auto
   The program takes and gives back pieces of the break between our own: neither touches the other's. */
#include "churn.h"

int main(void)
{
    enum { PIECES = 200 };
    static char *piece[PIECES];
    uint64_t random = 6;
    for (int i = 0; i < PIECES; i++) {
        size_t size = 1 + i * 777 % 70000;
        for (int j = 0; j < 300; j++)
            churn_step(&random, 40 * KIB);
        piece[i] = sbrk(size);
        CHECK(piece[i] != (void *)-1);
        fill(piece[i], size, i);
        if (i % 10 == 9)
            malloc_trim(0);
        if (i % 7 == 0) {
            for (int j = 0; j < 30; j++)
                churn_step(&random, 3 * MIB);
            if (sbrk(0) == piece[i] + size) {
                CHECK(sbrk(-(intptr_t)size) != (void *)-1);
                piece[i] = NULL;
            }
        }
        for (int k = 0; k <= i; k++)
            CHECK(!piece[k] || holds(piece[k], 1 + k * 777 % 70000, k));
    }
    for (int i = 0; i < CHURN_SLOTS; i++)
        churn_destroy(churn_slot[i]);
    malloc_trim(0);
    for (int k = 0; k < PIECES; k++)
        CHECK(!piece[k] || holds(piece[k], 1 + k * 777 % 70000, k));
    return 0;
}
