/* expect: exit 0 "warning: GLEBE_PAGE_SIZE: no pages of 1G: " "; pages of " " are used"
   under: GLEBE_PAGE_SIZE=1G
   under: GLEBE_PAGE_SIZE=1G GLEBE_BUDGET=300M
   Where there are no pages of 1 GiB, or a budget that goes with none, one line says so and the
   program runs on others. */
#include "page_size.h"

int main(void)
{
    if (has_1_gib() && !getenv("GLEBE_BUDGET"))
        skip("there are pages of 1 GiB");
    char *block = malloc(GIB);
    for (int i = 0; i < 8; i++)
        fill(block + i * (GIB / 8), 4096, 3);
    for (int i = 0; i < 8; i++)
        CHECK(holds(block + i * (GIB / 8), 4096, 3));
    free(block);
    return 0;
}
