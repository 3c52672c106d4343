/* expect: exit 0
   modes: preload
   with: module_that_wraps_sigaction
   Another library's sigaction behind us gets every call, for the signals that are ours too. */
#include "faults.h"

extern int wrapped_calls;
static char *volatile page;
static volatile int calls;

static void handle(int signal)
{
    (void)signal;
    open_page(page);
    calls++;
}

static void test(void)
{
    struct sigaction action = {.sa_handler = handle};
    int before = wrapped_calls;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && wrapped_calls == before + 1);
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0 && wrapped_calls == before + 2);
    moment(AFTER_THE_HANDLER);
    page = closed_page();
    write_to(page);
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0 && wrapped_calls == before + 3);
    page = closed_page();
    write_to(page);
    CHECK(calls == 2);
}

int main(void)
{
    at_each_moment(test, 0);
    return 0;
}
