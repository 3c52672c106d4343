/* expect: exit 0
   modes: link preload
   with: module_with_ifunc
   under: nothing
   under: LD_BIND_NOW=1
   under: LD_BIND_NOW=1 GLEBE_SOURCE=mmap
   under: GLEBE_HARDENED=1
   What the resolver got is whole, can be resized and freed, and no size class was harmed. */
#include "check.h"

extern int call_chosen(void);
extern void **blocks_from_resolver(void);

int main(void)
{
    void **from_resolver = blocks_from_resolver();
    CHECK(call_chosen());
    for (int i = 0; i < 6; i++) {
        size_t size = (size_t)20 << (4 * i);
        CHECK(from_resolver[i] && malloc_usable_size(from_resolver[i]) >= size);
        CHECK(holds(from_resolver[i], size, i));
        from_resolver[i] = realloc(from_resolver[i], 3 * size);
        CHECK(holds(from_resolver[i], size, i));
        free(from_resolver[i]);
    }
    CHECK((uintptr_t)from_resolver[6] % 4096 == 0);
    free(from_resolver[6]);
    for (int i = 0; i < 10000; i++)
        CHECK(malloc(i) != NULL);
    return 0;
}
