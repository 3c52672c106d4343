/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_SOURCE=mmap
   What a program advises about its own pages, of those that are out and those that are in memory,
   costs no byte: the contents are wanted after all of it, also in a child. */
#include "paged.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

enum { SIZE = 4 * 1024 * 1024 };

int main(void)
{
    const int advice[] = {MADV_WILLNEED, MADV_SEQUENTIAL, MADV_RANDOM, MADV_NORMAL, MADV_HUGEPAGE, MADV_NOHUGEPAGE,
                          MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_COLD, MADV_PAGEOUT, MADV_POPULATE_READ,
                          MADV_POPULATE_WRITE, MADV_DONTDUMP, MADV_DODUMP};
    start_paged();
    unsigned char *object = aligned_alloc(2 * MIB, SIZE);
    CHECK(object != NULL);
    paint(object, SIZE, 0);
    for (unsigned round = 0; round < sizeof advice / sizeof *advice; round++) {
        push_out();
        CHECK(painted_part(object, 0, SIZE / 2, round));
        /* A kernel may not know the advice. */
        madvise(object, SIZE, advice[round]);
        CHECK(painted(object, SIZE, round));
        paint(object, SIZE, round + 1);
    }
    push_out();
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        CHECK(painted(object, SIZE, sizeof advice / sizeof *advice));
        _exit(0);
    }
    CHECK(status_of(child) == 0);
    CHECK(painted(object, SIZE, sizeof advice / sizeof *advice));
    free(object);
    check_budget_is_kept();
    return 0;
}
