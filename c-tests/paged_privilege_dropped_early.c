/* expect: exit 0 "warning: " "no budget"
   modes: preload
   under: GLEBE_BUDGET=32M
   A daemon that becomes another user long before its heap reaches the budget, and one whose limits
   allow no further descriptor: no byte is lost. One line says that there is no budget. */
#include "paged.h"
#include <sys/resource.h>

static struct Painted set[100000];

int main(void)
{
    uint64_t random = 19;
    start_paged();
    if (budget() == 0)
        CHECK(write(2, "glebe: warning: no budget\n", 26) == 26);
    free_painted(&(struct Painted[]){make_painted(5 * MIB, 1)}[0]);
    if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0)
        skip("may not become somebody else");
    struct rlimit none = {0, 0};
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    size_t count = make_set(set, 100000, budgets(2), &random, 1);
    for (size_t i = 0; i < count; i++)
        free_painted(&set[i]);
    return 0;
}
