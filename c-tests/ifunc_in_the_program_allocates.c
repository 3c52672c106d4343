/* expect: exit 0
   modes: link preload static
   under: nothing
   under: LD_BIND_NOW=1 */
#include "check.h"

static void *from_resolver;
static int answer(void) { return 42; }

static int (*resolve(void))(void)
{
    if (!from_resolver) {
        from_resolver = realloc(malloc(10), 1000);
        memset(from_resolver, 4, 1000);
        free(malloc(50));
    }
    return answer;
}

int chosen(void) __attribute__((ifunc("resolve")));

int main(void)
{
    CHECK(chosen() == 42);
    CHECK(holds(from_resolver, 1000, 4));
    free(from_resolver);
    return 0;
}
