/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_DIRTY_MIB=0
   under: GLEBE_BUDGET=32M GLEBE_SOURCE=mmap
   malloc_trim gives free pages back, in memory and in the store, and no others; freed memory that
   was given back is issued again and keeps what is written. */
#include "paged.h"

static struct Painted set[100000];

int main(void)
{
    uint64_t random = 21;
    start_paged();
    size_t count = make_set(set, 100000, budgets(3), &random, 1);
    for (unsigned round = 2; round < 5; round++) {
        for (size_t i = 0; i < count; i++)
            if (next_random(&random) % 2) {
                free(set[i].start);
                set[i].start = NULL;
            }
        malloc_trim(0);
        check_budget_is_kept();
        for (size_t i = 0; i < count; i++) {
            if (set[i].start)
                check_painted(&set[i]);
            else
                set[i] = make_painted(set[i].size, round);
            if (i % 500 == 0)
                malloc_trim(0);
        }
    }
    for (size_t i = 0; i < count; i++)
        free_painted(&set[i]);
    malloc_trim(0);
    CHECK(budget() == 0 || resident_bytes() < budget());
    return 0;
}
