/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_STORE=file
   under: GLEBE_BUDGET=32M GLEBE_STORE=both
   One object of four budgets, written and read from end to end, forwards and backwards, then read
   and written at random places. */
#include "paged.h"

static uint8_t version[64 * 1024];

int main(void)
{
    uint64_t random = 5;
    start_paged();
    size_t size = budgets(4), pages = size / PAGE;
    unsigned char *object = aligned_alloc(PAGE, size);
    CHECK(object != NULL && pages <= sizeof version);
    paint(object, size, 0);
    check_budget_is_kept();
    for (size_t page = pages; page-- > 0;)
        CHECK(painted_part(object, page * PAGE, PAGE, 0));
    check_budget_is_kept();
    for (size_t step = 0; step < pages; step++) {
        size_t page = next_random(&random) % pages;
        CHECK(painted_part(object, page * PAGE, PAGE, version[page]));
        if (step % 2)
            paint_part(object, page * PAGE, PAGE, ++version[page]);
    }
    check_budget_is_kept();
    for (size_t page = 0; page < pages; page++)
        CHECK(painted_part(object, page * PAGE, PAGE, version[page]));
    free(object);
    CHECK(budget() == 0 || resident_bytes() < budget());
    return 0;
}
