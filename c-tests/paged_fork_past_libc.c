/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   A fork by the bare system call, of which no library hears: where the kernel tells of it the child
   reads every byte, where it does not the documents say so. It neither hangs nor harms the parent. */
#include "paged.h"
#include <signal.h>

static struct Painted set[100000];

int main(void)
{
    uint64_t random = 16;
    start_paged();
    size_t count = make_set(set, 100000, budgets(2), &random, 1);
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0) {
        alarm(60);
        for (size_t i = 0; i < count; i++)
            if (!painted(set[i].start, set[i].size, set[i].seed))
                _exit(3);
        _exit(0);
    }
    int status = status_of(child);
    for (size_t i = 0; i < count; i++) {
        check_painted(&set[i]);
        set[i] = repaint(set[i], 2);
    }
    for (size_t i = 0; i < count; i++)
        free_painted(&set[i]);
    if (status == 3)
        skip("the child of a bare fork does not see what is out");
    CHECK(status == 0);
    return 0;
}
