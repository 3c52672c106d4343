/* expect: exit 0
   modes: preload
   under: nothing
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_SOURCE=mmap
   A calloc of 16 GiB touched in few places takes little memory, though it is far above the budget;
   what was touched keeps its contents while other memory comes and goes, the rest is zero. */
#include "paged.h"

enum { TOUCHED = 2000 };

static size_t place[TOUCHED];

int main(void)
{
    uint64_t random = 8;
    start_paged();
    size_t size = 16 * GIB, before = resident_bytes();
    unsigned char *object = calloc(size, 1);
    if (object == NULL)
        skip("no 16 GiB of address space to be had");
    for (size_t i = 0; i < TOUCHED; i++) {
        place[i] = (next_random(&random) % (size / TOUCHED / PAGE) + i * (size / TOUCHED / PAGE)) * PAGE;
        paint_part(object, place[i], PAGE / 2, 6);
    }
    CHECK(resident_bytes() < before + 32 * MIB);
    push_out();
    check_budget_is_kept();
    for (size_t i = 0; i < TOUCHED; i++) {
        CHECK(painted_part(object, place[i], PAGE / 2, 6));
        CHECK(holds(object + place[i] + PAGE / 2, PAGE / 2, 0));
        CHECK(object[(place[i] + PAGE) % size] == 0 || i + 1 == TOUCHED || place[i + 1] == place[i] + PAGE);
    }
    check_budget_is_kept();
    CHECK((object = realloc(object, size + GIB)) != NULL);
    CHECK(painted_part(object, place[TOUCHED / 2], PAGE / 2, 6));
    free(object);
    return 0;
}
