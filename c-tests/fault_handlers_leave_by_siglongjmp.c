/* expect: exit 0
   modes: link preload static
   A thousand faults, each left by siglongjmp, in each of two threads. */
#include "faults.h"
#include <pthread.h>

static _Thread_local sigjmp_buf recovery;
static _Thread_local volatile int calls;

static void recover(int signal)
{
    (void)signal;
    calls++;
    siglongjmp(recovery, 1);
}

static void *fault(void *unused)
{
    char *page = closed_page();
    for (volatile int i = 0; i < 1000; i++)
        if (sigsetjmp(recovery, 1) == 0) {
            write_to(page);
            CHECK(0);
        }
    CHECK(calls == 1000);
    return unused;
}

static void test(void)
{
    pthread_t other;
    CHECK(signal(SIGSEGV, recover) == SIG_DFL);
    moment(AFTER_THE_HANDLER);
    CHECK(pthread_create(&other, NULL, fault, NULL) == 0);
    fault(NULL);
    CHECK(pthread_join(other, NULL) == 0);
}

int main(void)
{
    at_each_moment(test, 0);
    return 0;
}
