/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_STORE=file
   Far below the budget there is no second thread and no descriptor, so a program may do what only a
   process with one thread may: enter another user namespace. Its heap can outgrow the budget there,
   and in an empty root, if the store needs no file. */
#include "paged.h"
#include <dirent.h>
#include <sched.h>

static struct Painted set[100000];

static int threads(void)
{
    DIR *folder = opendir("/proc/self/task");
    int count = -2;
    CHECK(folder != NULL);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static void outgrow_the_budget(void)
{
    uint64_t random = 20;
    size_t count = make_set(set, 100000, budgets(2), &random, 1);
    for (size_t i = 0; i < count; i++)
        free_painted(&set[i]);
}

int main(void)
{
    uint64_t random = 7;
    start_paged();
    size_t few = make_set(set, 1000, budgets(1) / 2, &random, 1);
    CHECK(threads() == 1);
    int lowest = open("/dev/null", O_RDONLY);
    CHECK(lowest == 3 && close(lowest) == 0);
    for (size_t i = 0; i < few; i++)
        free_painted(&set[i]);
    pid_t child = fork();
    if (child == 0) {
        alarm(100);
        CHECK(threads() == 1);
        if (unshare(CLONE_NEWUSER) != 0)
            _exit(errno == EINVAL ? 1 : 0);
        outgrow_the_budget();
        exit(0);
    }
    CHECK(status_of(child) == 0);
    child = getenv("GLEBE_STORE") ? 0 : fork();
    if (child == 0 && !getenv("GLEBE_STORE")) {
        alarm(100);
        if (chroot("/proc/self/fdinfo") != 0 || chdir("/") != 0)
            _exit(0);
        outgrow_the_budget();
        exit(0);
    }
    CHECK(child == 0 || status_of(child) == 0);
    outgrow_the_budget();
    check_budget_is_kept();
    return 0;
}
