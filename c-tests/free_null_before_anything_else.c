/* expect: exit 0
   modes: link preload static
   The functions in .preinit_array run before every constructor. */
#include "check.h"

static void *early;

static void first(void)
{
    free(NULL);
    CHECK(malloc_usable_size(NULL) == 0);
    early = realloc(NULL, 100);
    CHECK(early != NULL);
    fill(early, 100, 9);
}

__attribute__((section(".preinit_array"), used)) static void (*preinit)(void) = first;

int main(void)
{
    CHECK(holds(early, 100, 9));
    free(early);
    return 0;
}
