/* expect: exit 0 "huge page " " MiB"
   modes: link
   under: GLEBE_PAGE_SIZE=2M GLEBE_STATS=text
   The statistics say how many bytes of the heap lie in huge pages. */
#include "page_size.h"

int main(void)
{
    if (!has_2_mib())
        skip("no huge pages");
    char *block = malloc(64 * MIB);
    fill(block, 64 * MIB, 3);
    size_t huge = 0;
    for (size_t at = 0; at < 64 * MIB; at += 2 * MIB)
        huge += page_size_at(block + at) == 2 * MIB;
    if (huge < 5)
        skip("the kernel has no huge pages free");
    return 0;
}
