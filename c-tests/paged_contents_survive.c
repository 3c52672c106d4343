/* expect: exit 0
   modes: link preload static
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_STORE=file
   under: GLEBE_BUDGET=32M GLEBE_STORE=both GLEBE_STORE_FILE=/var/tmp
   under: GLEBE_BUDGET=32M GLEBE_SOURCE=mmap
   Four budgets of objects of all sizes, read in random order, written anew, and read again. */
#include "paged.h"

static struct Painted set[100000];

int main(void)
{
    uint64_t random = 51;
    start_paged();
    size_t count = make_set(set, 100000, budgets(4), &random, 1);
    check_budget_is_kept();
    for (unsigned version = 2; version < 4; version++) {
        shuffle(set, count, &random);
        for (size_t i = 0; i < count; i++) {
            check_painted(&set[i]);
            if (i % 4 == version)
                set[i] = repaint(set[i], version);
            if (i % 1000 == 0)
                check_budget_is_kept();
        }
    }
    for (size_t i = 0; i < count; i++)
        free_painted(&set[i]);
    check_budget_is_kept();
    return 0;
}
