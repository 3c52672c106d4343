/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_STORE=file
   under: GLEBE_BUDGET=32M GLEBE_STORE=both
   under: GLEBE_BUDGET=32M GLEBE_SOURCE=mmap
   A fork while most of the heap is out: parent and child see every byte, write versions of their own
   over all of it at the same time, and read them back; so does a child of the child. */
#include "paged.h"

static struct Painted set[100000];
static size_t count;

static void read_and_write(unsigned version, uint64_t random)
{
    shuffle(set, count, &random);
    for (size_t i = 0; i < count; i++) {
        check_painted(&set[i]);
        set[i] = repaint(set[i], version);
        if (i % 1000 == 0)
            check_budget_is_kept();
    }
    for (size_t i = 0; i < count; i++)
        check_painted(&set[i]);
}

int main(void)
{
    uint64_t random = 30;
    start_paged();
    count = make_set(set, 100000, budgets(3), &random, 1);
    pid_t child = fork();
    if (child == 0) {
        alarm(100);
        for (size_t i = 0; i < count / 2; i++)
            check_painted(&set[i]);
        pid_t grandchild = fork();
        read_and_write(grandchild ? 2 : 3, 31);
        if (grandchild == 0)
            _exit(0);
        CHECK(status_of(grandchild) == 0);
        exit(0);
    }
    read_and_write(4, 32);
    CHECK(status_of(child) == 0);
    for (size_t i = 0; i < count; i++)
        free_painted(&set[i]);
    return 0;
}
