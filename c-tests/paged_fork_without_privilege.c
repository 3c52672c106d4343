/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_STORE=file
   Once most of the heap is out a program gives up every privilege, and then the right to open files.
   It reads and writes on, and a child that it forks, which may have lost the means to page, still
   sees every byte. What the library says of a budget that it cannot keep is not looked at. */
#include "paged.h"
#include <sys/prctl.h>
#include <sys/resource.h>

static struct Painted set[100000];
static size_t count;

static void read_and_write(unsigned version)
{
    for (size_t i = 0; i < count; i++) {
        check_painted(&set[i]);
        if (i % 2)
            set[i] = repaint(set[i], version);
    }
    for (size_t i = 0; i < count; i++)
        check_painted(&set[i]);
}

static void fork_one(void)
{
    pid_t child = fork();
    if (child == 0) {
        alarm(100);
        read_and_write(9);
        exit(0);
    }
    CHECK(status_of(child) == 0);
}

int main(void)
{
    uint64_t random = 18;
    struct rlimit none = {0, 0};
    start_paged();
    count = make_set(set, 100000, budgets(2), &random, 1);
    int null = open("/dev/null", O_WRONLY), errors = dup(2);
    if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0)
        skip("may not become somebody else");
    CHECK(prctl(PR_SET_DUMPABLE, 0) == 0);
    /* The warning goes nowhere; the end of this process is told by its status. */
    CHECK(dup2(null, 2) == 2);
    read_and_write(2);
    fork_one();
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0 && setrlimit(RLIMIT_NPROC, &none) == 0);
    read_and_write(3);
    pid_t child = fork();
    if (child == 0) {
        alarm(100);
        read_and_write(4);
        exit(0);
    }
    /* RLIMIT_NPROC may forbid the fork itself. */
    CHECK(child < 0 ? errno == EAGAIN : status_of(child) == 0);
    CHECK(write(errors, "", 0) == 0);
    return 0;
}
