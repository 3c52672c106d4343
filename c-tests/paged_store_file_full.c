/* expect: exit 0 "warning: " "file for evicted pages takes no more"
   modes: preload
   under: GLEBE_BUDGET=32M GLEBE_STORE=file
   under: GLEBE_BUDGET=32M GLEBE_STORE=both
   The file of evicted pages may grow to 2 MiB. What does not fit stays in memory: one line says so,
   nothing is lost, and no signal ends the program. */
#include "paged.h"
#include <sys/resource.h>

static struct Painted set[100000];

int main(void)
{
    uint64_t random = 33;
    struct rlimit small = {2 * MIB, 2 * MIB};
    start_paged();
    if (budget() == 0)
        CHECK(write(2, "glebe: warning: file for evicted pages takes no more\n", 53) == 53);
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    size_t count = make_set(set, 100000, budgets(4), &random, 1);
    for (unsigned version = 2; version < 4; version++)
        for (size_t i = 0; i < count; i++) {
            check_painted(&set[i]);
            if (i % 4 == version)
                set[i] = repaint(set[i], version);
        }
    for (size_t i = 0; i < count; i++)
        free_painted(&set[i]);
    return 0;
}
