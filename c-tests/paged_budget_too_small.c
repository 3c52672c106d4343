/* expect: exit 0 "warning: " "budget" "exceeded"
   modes: preload
   under: GLEBE_BUDGET=8M
   under: GLEBE_BUDGET=16M
   More random bytes than the budget, and no file for them: the budget gives way, not the data, and
   one line says so. Once they are freed the program is small again. */
#include "paged.h"

static struct Painted set[100000];

int main(void)
{
    uint64_t random = 36;
    start_paged();
    if (budget() == 0)
        CHECK(write(2, "glebe: warning: budget exceeded\n", 32) == 32);
    size_t size = 48 * MIB;
    uint64_t *object = malloc(size);
    CHECK(object != NULL);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < size / 8; i++)
            object[i] = mixed(i + (unsigned)round);
        for (size_t i = 0; i < size / 8; i++)
            CHECK(object[i] == mixed(i + (unsigned)round));
    }
    size_t count = make_set(set, 100000, budgets(2), &random, 1);
    for (size_t i = 0; i < size / 8; i++)
        CHECK(object[i] == mixed(i + 1));
    for (size_t i = 0; i < count; i++)
        free_painted(&set[i]);
    free(object);
    malloc_trim(0);
    check_budget_is_kept();
    return 0;
}
