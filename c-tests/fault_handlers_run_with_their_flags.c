/* expect: exit 0
   modes: link preload static
   flags: -Wno-deprecated-declarations
   SA_NODEFER, sa_mask, SA_RESETHAND and SA_RESTART do for SIGSEGV what they do for every signal; the
   mask is restored after the handler. */
#include "faults.h"
#include <pthread.h>

static char *volatile page;
static volatile int calls, expect_segv_blocked, expect_usr1_blocked;

static void handle(int signal)
{
    CHECK(is_blocked(signal) == expect_segv_blocked);
    CHECK(is_blocked(SIGUSR1) == expect_usr1_blocked && !is_blocked(SIGUSR2));
    if (++calls == 1 && !expect_segv_blocked)
        write_to(page); /* Nested. */
    open_page(page);
}

static void fault_under(int flags, int masked, int segv_blocked)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = flags};
    if (masked)
        sigaddset(&action.sa_mask, SIGUSR1);
    expect_segv_blocked = segv_blocked;
    expect_usr1_blocked = masked;
    calls = 0;
    page = closed_page();
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    moment(AFTER_THE_HANDLER);
    write_to(page);
    CHECK(calls == (segv_blocked ? 1 : 2));
    CHECK(!is_blocked(SIGSEGV) && !is_blocked(SIGUSR1));
}

static void masks(void)
{
    fault_under(0, 0, 1);
    fault_under(0, 1, 1);
    fault_under(SA_NODEFER, 0, 0);
    fault_under(SA_NODEFER, 1, 0);
    fault_under(SA_RESETHAND, 1, 1);
    struct sigaction now;
    CHECK(sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
    CHECK(now.sa_flags & SA_RESETHAND);
}

static void reset(void)
{
    fault_under(SA_RESETHAND, 0, 1);
    page = closed_page();
    write_to(page);
}

static int ends[2];

static void count(int signal)
{
    (void)signal;
    calls++;
}

/* Interrupts the main thread until it is in its read, and further; then ends that. */
static void *interrupt(void *reader)
{
    for (int i = 0; i < 50; i++) {
        CHECK(pthread_kill(*(pthread_t *)reader, SIGSEGV) == 0);
        usleep(1000);
    }
    CHECK(write(ends[1], "x", 1) == 1);
    return NULL;
}

static void restart(void)
{
    struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART};
    pthread_t self = pthread_self(), other;
    char byte;
    CHECK(pipe(ends) == 0 && sigaction(SIGSEGV, &action, NULL) == 0);
    moment(AFTER_THE_HANDLER);
    CHECK(pthread_create(&other, NULL, interrupt, &self) == 0);
    CHECK(read(ends[0], &byte, 1) == 1 && pthread_join(other, NULL) == 0 && calls > 0);
}

static void interrupted(void)
{
    struct sigaction now;
    char byte;
    CHECK(siginterrupt(SIGSEGV, 1) == 0 && signal(SIGSEGV, count) == SIG_DFL);
    CHECK(sigaction(SIGSEGV, NULL, &now) == 0 && !(now.sa_flags & SA_RESTART));
    CHECK(siginterrupt(SIGSEGV, 0) == 0 && sigaction(SIGSEGV, NULL, &now) == 0);
    CHECK(now.sa_flags & SA_RESTART && now.sa_handler == count);
    CHECK(siginterrupt(SIGSEGV, 1) == 0 && siginterrupt(SIGALRM, 1) == 0);
    moment(AFTER_THE_HANDLER);
    CHECK(pipe(ends) == 0 && signal(SIGALRM, count) == SIG_DFL);
    CHECK(sigaction(SIGALRM, NULL, &now) == 0 && !(now.sa_flags & SA_RESTART));
    alarm(1);
    CHECK(read(ends[0], &byte, 1) == -1 && errno == EINTR);
}

int main(void)
{
    at_each_moment(masks, 0);
    at_each_moment(reset, SIGSEGV);
    at_each_moment(restart, 0);
    at_each_moment(interrupted, 0);
    return 0;
}
