/* expect: exit 0
   modes: link preload
   flags: -Wno-deprecated-declarations
   Children after fork and _Fork have the parent's handlers and may change their own; after vfork what
   the child changes is not the parent's; after exec handlers are gone and SIG_IGN is still there. */
#include "faults.h"
#include <spawn.h>

static char *program;
static char *volatile page;
static volatile int calls;

static void handle(int signal)
{
    (void)signal;
    calls++;
    open_page(page);
}

static void other(int signal)
{
    handle(signal);
    calls += 10;
}

static int fault(void)
{
    int before = calls;
    page = closed_page();
    write_to(page);
    return calls - before;
}

static int ended(pid_t child)
{
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    return status;
}

static void forks(void)
{
    CHECK(signal(SIGSEGV, handle) == SIG_DFL);
    moment(AFTER_THE_HANDLER);
    for (int i = 0; i < 2; i++) {
        pid_t child = i ? _Fork() : fork();
        if (child == 0) {
            CHECK(fault() == 1 && signal(SIGSEGV, other) == handle && fault() == 11);
            CHECK(signal(SIGSEGV, SIG_DFL) == other);
            fault();
            _exit(1);
        }
        CHECK(WTERMSIG(ended(child)) == SIGSEGV && fault() == 1);
    }
}

static void vforks(void)
{
    struct sigaction once = {.sa_handler = handle, .sa_flags = SA_RESETHAND};
    CHECK(sigaction(SIGSEGV, &once, NULL) == 0);
    moment(AFTER_THE_HANDLER);
    pid_t child = vfork();
    if (child == 0)
        _exit(fault() == 1 && signal(SIGSEGV, SIG_DFL) == SIG_DFL ? 0 : 1);
    CHECK(ended(child) == 0);
    CHECK(fault() == 1 && signal(SIGSEGV, handle) == SIG_DFL);
    child = vfork();
    if (child == 0) {
        struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
        if (sigaction(SIGSEGV, &ignore, &old) || old.sa_handler != handle)
            _exit(1);
        _exit(signal(SIGSEGV, other) == SIG_IGN && fault() == 11 ? 0 : 1);
    }
    CHECK(ended(child) == 0);
    CHECK(fault() == 1 && signal(SIGSEGV, SIG_DFL) == handle);
    child = vfork();
    if (child == 0)
        _exit(signal(SIGSEGV, handle) == SIG_DFL ? 0 : 1);
    CHECK(ended(child) == 0);
    fault();
}

static void executes(void)
{
    char *arguments[] = {program, "SIG_DFL", NULL};
    pid_t child;
    CHECK(signal(SIGSEGV, handle) == SIG_DFL && signal(SIGBUS, SIG_IGN) == SIG_DFL);
    moment(AFTER_THE_HANDLER);
    CHECK(posix_spawn(&child, program, NULL, NULL, arguments, environ) == 0 && !ended(child));
    CHECK(fault() == 1 && signal(SIGSEGV, SIG_IGN) == handle);
    arguments[1] = "SIG_IGN";
    CHECK(posix_spawn(&child, program, NULL, NULL, arguments, environ) == 0 && !ended(child));
    execv(program, arguments);
}

int main(int count, char **arguments)
{
    program = "/proc/self/exe";
    if (count > 1) {
        /* Both before and after it allocates. */
        for (int i = 0; i < 2; i++) {
            struct sigaction segv, bus;
            CHECK(sigaction(SIGSEGV, NULL, &segv) == 0 && sigaction(SIGBUS, NULL, &bus) == 0);
            CHECK(segv.sa_handler == (strcmp(arguments[1], "SIG_IGN") ? SIG_DFL : SIG_IGN));
            CHECK(bus.sa_handler == SIG_IGN);
            moment(AT_FIRST);
        }
        return 0;
    }
    at_each_moment(forks, 0);
    at_each_moment(vforks, SIGSEGV);
    at_each_moment(executes, 0);
    return 0;
}
