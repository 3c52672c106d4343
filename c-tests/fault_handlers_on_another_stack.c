/* expect: exit 0
   modes: link preload static
   A handler with SA_ONSTACK runs on the alternate stack, one without does not; a stack overflow is
   recovered from there, again and again. */
#include "faults.h"
#include <sys/resource.h>

enum { STACK = 64 << 10 };
static char stack[STACK];
static char *volatile page;
static volatile int calls, expect_on_stack;
static sigjmp_buf recovery;

static void handle(int signal)
{
    char here;
    (void)signal;
    CHECK((&here >= stack && &here < stack + STACK) == expect_on_stack);
    calls++;
    open_page(page);
}

static void recover(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info, (void)context;
    calls++;
    siglongjmp(recovery, 1);
}

static int overflow(volatile char *caller)
{
    volatile char frame[4096];
    if (!caller)
        return 0;
    frame[0] = *caller;
    return overflow(frame) + frame[0];
}

static void test(void)
{
    stack_t alternate = {.ss_sp = stack, .ss_size = STACK};
    CHECK(sigaltstack(&alternate, NULL) == 0);
    for (expect_on_stack = 0; expect_on_stack < 2; expect_on_stack++) {
        struct sigaction action = {.sa_handler = handle};
        action.sa_flags = expect_on_stack ? SA_ONSTACK : 0;
        CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
        moment(AFTER_THE_HANDLER);
        page = closed_page();
        write_to(page);
    }
    struct sigaction action = {.sa_sigaction = recover, .sa_flags = SA_ONSTACK | SA_SIGINFO};
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    calls = 0;
    char first = 0;
    for (volatile int i = 0; i < 10; i++)
        if (sigsetjmp(recovery, 1) == 0)
            CHECK(overflow(&first) == 4711);
    CHECK(calls == 10);
}

int main(void)
{
    struct rlimit small = {1 << 20, 1 << 20};
    CHECK(setrlimit(RLIMIT_STACK, &small) == 0);
    at_each_moment(test, 0);
    return 0;
}
