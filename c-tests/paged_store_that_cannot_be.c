/* expect: exit 0 "warning: " "GLEBE_STORE_FILE"
   modes: preload
   under: GLEBE_BUDGET=32M GLEBE_STORE=file GLEBE_STORE_FILE=/does/not/exist
   under: GLEBE_BUDGET=32M GLEBE_STORE=both GLEBE_STORE_FILE=/proc
   under: GLEBE_BUDGET=32M GLEBE_STORE=file GLEBE_STORE_FILE=/dev/null
   A place where no file can be made: one line says so, and the program runs. */
#include "paged.h"

static struct Painted set[100000];

int main(void)
{
    uint64_t random = 35;
    start_paged();
    if (budget() == 0)
        CHECK(write(2, "glebe: warning: GLEBE_STORE_FILE\n", 33) == 33);
    size_t count = make_set(set, 100000, budgets(2), &random, 1);
    for (size_t i = 0; i < count; i++)
        free_painted(&set[i]);
    return 0;
}
