/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=60%
   under: GLEBE_BUDGET=1%
   A share of the memory that the process may have, by its group or the machine. */
#include "paged.h"

int main(void)
{
    const char *text = getenv("GLEBE_BUDGET");
    size_t percent = text ? strtoull(text, NULL, 10) : 0;
    if (percent && !may_page())
        skip("no budget without full userfaultfd and UFFDIO_MOVE");
    size_t most = (size_t)sysconf(_SC_PHYS_PAGES) * PAGE / 100 * (percent ? percent : 1);
    size_t size = most < 256 * MIB ? most + most / 2 : 384 * MIB;
    unsigned char *object = malloc(size);
    CHECK(object != NULL);
    for (size_t place = 0; place + PAGE <= size; place += PAGE)
        memset(object + place, (int)mixed(place), PAGE);
    if (percent)
        CHECK(resident_bytes() <= most + 24 * MIB);
    for (size_t place = 0; place + PAGE <= size; place += PAGE)
        CHECK(holds(object + place, PAGE, (int)mixed(place)));
    return 0;
}
