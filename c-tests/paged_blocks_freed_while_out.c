/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_STORE=both
   under: GLEBE_BUDGET=32M GLEBE_SOURCE=mmap
   Objects that are out are freed without a look at them, small ones all and large ones every second;
   what is allocated next keeps its contents, and so do the neighbours. The store does not fill up
   with the dead: the heap turns over twenty times in its budget. */
#include "paged.h"

static struct Painted small[200000], large[2000];

int main(void)
{
    uint64_t random = 3;
    start_paged();
    size_t large_count = 0, bytes = budgets(1);
    for (size_t made = 0; made < 2 * bytes; made += large[large_count++].size)
        large[large_count] = make_painted(40 * KIB + next_random(&random) % (400 * KIB), 1);
    for (unsigned round = 2; round < 5; round++) {
        size_t count = 0;
        for (size_t made = 0; made < bytes; made += small[count++].size)
            small[count] = make_painted(16 + next_random(&random) % 3000, round);
        push_out();
        for (size_t i = 0; i < count; i++)
            free(small[i].start);
        for (size_t i = round % 2; i < large_count; i += 2) {
            free(large[i].start);
            large[i] = make_painted(large[i].size, round);
        }
        for (size_t i = 0; i < large_count; i++)
            check_painted(&large[i]);
        check_budget_is_kept();
    }
    for (size_t i = 0; i < large_count; i++)
        free(large[i].start);
    /* One object after the other: what is freed must leave the store. */
    for (unsigned round = 0; round < 20; round++) {
        unsigned char *object = malloc(2 * bytes);
        CHECK(object != NULL);
        for (size_t place = 0; place < 2 * bytes; place += PAGE) {
            uint64_t word = mixed(place + round);
            memcpy(object + place, &word, 8);
        }
        check_budget_is_kept();
        free(object);
    }
    return 0;
}
