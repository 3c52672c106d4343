/* expect: exit 0
   modes: link preload static
   Allocation and frees in atexit handlers, in destructors, and of what constructors made. */
#include "check.h"

static void *early, *late;

__attribute__((constructor(101))) static void constructed(void)
{
    early = malloc(5000);
    fill(early, 5000, 1);
}

__attribute__((destructor(101))) static void destructed(void)
{
    CHECK(holds(early, 5000, 1));
    free(early);
    late = realloc(late, 100 * KIB);
    CHECK(holds(late, 100, 2));
    free(late);
    free(calloc(1, 4 * MIB));
}

static void at_exit(void)
{
    late = malloc(100);
    fill(late, 100, 2);
}

int main(void)
{
    return atexit(at_exit);
}
