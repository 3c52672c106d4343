/* expect: exit 0
   modes: link
   under: GLEBE_PAGE_SIZE=1G
   An object of 1 GiB lies in pages of the kernel's pool while that has some; the next lies in others,
   and when the first is freed its page is free again. */
#include "page_size.h"

int main(void)
{
    if (!has_1_gib())
        skip("no page of 1 GiB in the pool");
    for (int turn = 0; turn < 3; turn++) {
        char *block = malloc(GIB);
        CHECK(page_size_at(block) == 0);
        fill(block, GIB, 3);
        CHECK(page_size_at(block + GIB / 2 + 5) == GIB);
        CHECK(malloc_usable_size(block) >= GIB && glebe_address_kind(block) == GLEBE_KIND_LARGE);
        CHECK(realloc(block, GIB - 5 * MIB) == block);
        block = realloc(block, 10 * MIB);
        CHECK(block && holds(block, 10 * MIB, 3) && page_size_at(block) < GIB);
        free(block);
    }
    return 0;
}
