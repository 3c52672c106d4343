/* expect: exit 0
   modes: link static
   Of each slab but its first block all are freed. malloc_trim gives their pages back; what was freed
   is known to be free still, what lives keeps its contents and can be freed, and the rest is issued
   again, once. */
#include "check.h"
#include "glebe.h"

enum { SIZE = 512, COUNT = 64000, SLAB_BYTES = 64 * KIB };

static unsigned char *block[COUNT];
static size_t kept[COUNT];

static int by_address(const void *a, const void *b)
{
    uintptr_t left = *(const uintptr_t *)a, right = *(const uintptr_t *)b;
    return (left > right) - (left < right);
}

int main(void)
{
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++) {
            CHECK((block[i] = malloc(SIZE)) != NULL);
            fill(block[i], SIZE, 1);
        }
        qsort(block, COUNT, sizeof *block, by_address);
        for (int i = 1; i < COUNT; i++)
            CHECK(block[i] - block[i - 1] >= SIZE);
        size_t slabs = 0;
        for (int i = 0; i < COUNT; i++) {
            if (i == 0 || (uintptr_t)block[i] / SLAB_BYTES != (uintptr_t)block[i - 1] / SLAB_BYTES) {
                fill(block[i], SIZE, i);
                kept[slabs++] = i;
            } else {
                free(block[i]);
            }
        }
        size_t before = resident_bytes();
        CHECK(malloc_trim(0) == 1);
        size_t after = resident_bytes();
        /* A page of each slab, and what else a program has. */
        printf("%zu slabs, %zu KiB, then %zu KiB\n", slabs, before / KIB, after / KIB);
        CHECK(before - after >= slabs * (SLAB_BYTES - 4 * KIB) * 9 / 10);
        size_t slab = 0;
        for (size_t i = 0; i < COUNT; i++) {
            if (slab < slabs && kept[slab] == i) {
                CHECK(glebe_owns(block[i]) && holds(block[i], SIZE, i));
                slab++;
            } else {
                CHECK(!glebe_owns(block[i]) && glebe_free_checked(block[i]) == GLEBE_FREE_ALREADY_FREE);
            }
        }
        for (slab = 0; slab < slabs; slab++) {
            if (slab % 2 == (size_t)round % 2)
                free(block[kept[slab]]);
        }
        for (slab = 0; slab < slabs; slab++) {
            if (slab % 2 != (size_t)round % 2) {
                CHECK(holds(block[kept[slab]], SIZE, kept[slab]));
                free(block[kept[slab]]);
            }
        }
    }
    return 0;
}
