/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_STORE=both
   under: GLEBE_BUDGET=32M GLEBE_SOURCE=mmap
   Memory that was written, went out, and was freed there or at hand, is zero where calloc hands it
   out; so is untouched memory that goes out and comes back. */
#include "paged.h"

static struct Painted set[100000];

int main(void)
{
    uint64_t random = 12;
    start_paged();
    for (unsigned round = 0; round < 3; round++) {
        size_t count = make_set(set, 100000, budgets(2), &random, round), zeroes = 0;
        if (round == 1)
            push_out();
        shuffle(set, count, &random);
        for (size_t i = 0; i < count; i++)
            free(set[i].start);
        for (; zeroes < count; zeroes++) {
            struct Painted *object = &set[zeroes];
            CHECK((object->start = calloc(1, object->size)) != NULL);
            if (zeroes % 2)
                CHECK(holds(object->start, object->size, 0));
        }
        push_out();
        for (size_t i = 0; i < count; i++) {
            CHECK(holds(set[i].start, set[i].size, 0));
            set[i] = repaint(set[i], round);
        }
        check_budget_is_kept();
        for (size_t i = 0; i < count; i++)
            free_painted(&set[i]);
    }
    return 0;
}
