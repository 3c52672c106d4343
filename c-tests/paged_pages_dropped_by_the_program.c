/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_STORE=file
   A program may say of its own memory that it does not want the contents any more: pages that it
   drops in memory read as zeroes, and never as what they were before they went out. */
#include "paged.h"

int main(void)
{
    start_paged();
    size_t size = 16 * MIB, pages = size / PAGE;
    unsigned char *object = aligned_alloc(PAGE, size);
    CHECK(object != NULL);
    for (unsigned round = 1; round < 4; round++) {
        paint(object, size, round);
        if (round > 1)
            push_out_object(object, size);
        /* Pages 3 and 4 of each 8 are read before they are dropped, so they are in memory. */
        for (size_t page = 0; page < pages; page += 8) {
            CHECK(painted_part(object, (page + 3) * PAGE, 2 * PAGE, round));
            CHECK(madvise(object + (page + 3) * PAGE, 2 * PAGE, MADV_DONTNEED) == 0);
            CHECK(holds(object + (page + 3) * PAGE, PAGE, 0));
        }
        push_out();
        for (size_t page = 0; page < pages; page++)
            if (page % 8 == 3 || page % 8 == 4)
                CHECK(holds(object + page * PAGE, PAGE, 0));
            else
                CHECK(painted_part(object, page * PAGE, PAGE, round));
        check_budget_is_kept();
    }
    free(object);
    return 0;
}
