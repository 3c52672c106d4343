/* expect: exit 0
   modes: preload
   library: shipped
   under: GLEBE_HUGE_PAGES=auto
   A program whose large blocks stay mostly untouched pays for huge pages in the first of them at
   most: once one was freed, glebe expects no more of the next. */
#include "check.h"

enum { BLOCKS = 24, PAGE = 4096 };

int main(void)
{
    /* Used throughout: enough for glebe to count on more of that kind. */
    size_t filled = 64 * MIB;
    char *heap = malloc(filled);
    CHECK(heap != NULL);
    memset(heap, 1, filled);

    char *first = malloc(12 * MIB);
    CHECK(first != NULL);
    for (size_t at = 0; at < 6 * MIB; at += 64 * PAGE)
        first[at] = 1;
    free(first);

    size_t before = resident_bytes();
    static char *block[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        CHECK((block[i] = malloc(12 * MIB)) != NULL);
        for (size_t at = 0; at < 12 * MIB; at += 64 * PAGE)
            block[i][at] = 1;
    }
    /* 48 pages of each were touched, of 3072: by huge pages all would be in memory. */
    size_t taken = resident_bytes() - before;
    fprintf(stderr, "%zu KiB for %d pages touched\n", taken / KIB, BLOCKS * 48);
    CHECK(taken < (size_t)BLOCKS * 12 * MIB / 8);
    for (int i = 0; i < BLOCKS; i++)
        free(block[i]);
    free(heap);
    return 0;
}
