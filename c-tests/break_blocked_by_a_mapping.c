/* expect: exit 0
   modes: link preload static
   under: GLEBE_SOURCE=auto
   A mapping right behind the break stops its growth; the heap goes on with mmap. */
#include "churn.h"
#include <sys/mman.h>

int main(void)
{
    char *wall = (char *)(((uintptr_t)sbrk(0) + 4 * MIB) & ~(uintptr_t)4095);
    CHECK(mmap(wall, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == wall);
    uint64_t random = 21;
    static void *block[20000];
    for (int i = 0; i < 20000; i++) {
        block[i] = malloc(3000);
        CHECK(block[i] != NULL);
        fill(block[i], 3000, i);
        churn_step(&random, 20 * KIB);
    }
    for (int i = 0; i < 20000; i++) {
        CHECK(holds(block[i], 3000, i));
        free(block[i]);
    }
    CHECK((char *)sbrk(0) <= wall);
    return 0;
}
