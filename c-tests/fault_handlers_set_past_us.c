/* expect: exit 0
   modes: link preload
   The raw system call sets a handler that gets its faults; what it saved can be put back by either
   way, and the handler from before serves again. */
#include "faults.h"

struct kernel_action {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

static char *volatile page;
static volatile int calls, raw_calls;

static void handle(int signal)
{
    (void)signal;
    calls++;
    open_page(page);
}

static void raw(int signal)
{
    (void)signal;
    raw_calls++;
    open_page(page);
}

static void fault(void)
{
    page = closed_page();
    write_to(page);
}

static void test(void)
{
    struct kernel_action action, before;
    struct sigaction saved;
    CHECK(signal(SIGSEGV, handle) == SIG_DFL);
    moment(AFTER_THE_HANDLER);
    CHECK(syscall(SYS_rt_sigaction, SIGSEGV, NULL, &before, 8) == 0);
    action = before;
    action.handler = raw;
    CHECK(syscall(SYS_rt_sigaction, SIGSEGV, &action, NULL, 8) == 0);
    fault();
    CHECK(raw_calls == 1 && calls == 0);
    CHECK(sigaction(SIGSEGV, NULL, &saved) == 0 && saved.sa_handler == raw);
    CHECK(syscall(SYS_rt_sigaction, SIGSEGV, &before, NULL, 8) == 0);
    fault();
    CHECK(raw_calls == 1 && calls == 1);
    CHECK(sigaction(SIGSEGV, &saved, NULL) == 0);
    fault();
    CHECK(raw_calls == 2 && calls == 1);
    saved.sa_handler = before.handler;
    saved.sa_flags = before.flags;
    CHECK(signal(SIGSEGV, handle) == raw && sigaction(SIGSEGV, &saved, NULL) == 0);
    fault();
    CHECK(raw_calls == 2 && calls == 2 && signal(SIGSEGV, SIG_DFL) == handle);
}

int main(void)
{
    at_each_moment(test, 0);
    return 0;
}
