/* expect: exit 0
   modes: static
   flags: -static
   Without any shared library, where nobody can be asked who stands behind us: handlers set before
   and after the allocator's own get the program's faults. */
#include "faults.h"

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
    struct sigaction now, action = {.sa_handler = handle};
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    moment(AFTER_THE_HANDLER);
    page = closed_page();
    write_to(page);
    CHECK(calls == 1 && signal(SIGSEGV, SIG_DFL) == handle);
    CHECK(sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
}

int main(void)
{
    at_each_moment(test, 0);
    return 0;
}
