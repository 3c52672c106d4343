/* expect: exit 0 "warning: GLEBE_PAGE_SIZE: no pages of 64K: " "; pages of 4K are used"
   modes: link
   under: GLEBE_PAGE_SIZE=64K
   Where the kernel gives no pages of 64 KiB one line says so, and the heap lies in small ones. */
#include "glebe.h"
#include "page_size.h"

int main(void)
{
    if (has_64_kib())
        skip("there are pages of 64 KiB");
    char *block = malloc(8 * MIB);
    fill(block, 8 * MIB, 3);
    for (size_t at = 0; at < 8 * MIB; at += 4096)
        CHECK(page_size_at(block + at) == 4096);
    return 0;
}
