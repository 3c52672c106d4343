/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_STORE=both
   Six generations, each a child of the one before: each checks what it inherits, writes its own
   version over a third of the heap, allocates and frees, and forks with most of it out. */
#include "paged.h"

enum { GENERATIONS = 6 };

static struct Painted set[100000];

int main(void)
{
    uint64_t random = 15;
    int generation = 0;
    start_paged();
    size_t count = make_set(set, 100000, budgets(2), &random, 0);
    pid_t child = 0;
    while (generation < GENERATIONS && (child = generation % 2 ? _Fork() : fork()) == 0) {
        alarm(100);
        generation++;
        for (size_t i = 0; i < count; i++) {
            if (i % 3 != 0)
                continue;
            check_painted(&set[i]);
            if (next_random(&random) % 2)
                set[i] = repaint(set[i], (unsigned)generation);
            else {
                free_painted(&set[i]);
                set[i] = make_painted(mixed_size(&random), (unsigned)generation);
            }
        }
        check_budget_is_kept();
    }
    for (size_t i = 0; i < count; i++)
        check_painted(&set[i]);
    check_budget_is_kept();
    CHECK(child == 0 || status_of(child) == 0);
    return 0;
}
