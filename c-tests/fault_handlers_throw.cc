/* expect: exit 0
   modes: link preload
   flags: -fnon-call-exceptions
   A handler may throw out of the fault. */
#include "faults.h"

struct fault {};
static char *volatile page;

static void handle(int number)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, number);
    CHECK(sigprocmask(SIG_UNBLOCK, &mask, NULL) == 0);
    throw fault();
}

static void test()
{
    volatile int caught = 0;
    CHECK(signal(SIGSEGV, handle) == SIG_DFL);
    moment(AFTER_THE_HANDLER);
    page = closed_page();
    for (int i = 0; i < 3; i++) {
        try {
            *(volatile char *)page = 1;
        } catch (fault &) {
            caught = caught + 1;
        }
    }
    CHECK(caught == 3);
}

int main()
{
    at_each_moment(test, 0);
    return 0;
}
