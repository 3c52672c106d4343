/* expect: exit 0
   modes: link preload static
   flags: -Wno-deprecated-declarations
   Without a handler a fault and a sent signal end the process by the right signal; SIG_IGN lets sent
   ones pass and no fault; sent ones reach a handler with what was sent. A handler may give up. */
#include "faults.h"

static volatile int calls;

static void informed(int signal, siginfo_t *info, void *context)
{
    CHECK(signal == SIGSEGV && context);
    CHECK(calls == 0 ? info->si_code == SI_USER && info->si_pid == getpid()
                     : info->si_code == SI_QUEUE && info->si_value.sival_int == 4711);
    calls++;
}

static void fault(void)
{
    signal(SIGSEGV, SIG_DFL);
    moment(AFTER_THE_HANDLER);
    write_to(closed_page());
}

static void no_address(void)
{
    moment(AFTER_THE_HANDLER);
    write_to((char *)0x8000000000000000);
}

static void give_up(int signal_number)
{
    CHECK(signal(signal_number, SIG_DFL) == give_up);
}

/* What runtimes do with a fault that is none of theirs. */
static void given_up(void)
{
    CHECK(signal(SIGSEGV, give_up) == SIG_DFL);
    moment(AFTER_THE_HANDLER);
    write_to(closed_page());
}

static void killed(void)
{
    moment(AFTER_THE_HANDLER);
    kill(getpid(), SIGSEGV);
}

static void raised(void)
{
    moment(AFTER_THE_HANDLER);
    raise(SIGBUS);
}

static void ignored(void)
{
    CHECK(signal(SIGSEGV, SIG_IGN) == SIG_DFL);
    moment(AFTER_THE_HANDLER);
    CHECK(kill(getpid(), SIGSEGV) == 0 && raise(SIGSEGV) == 0);
    write_to(closed_page());
}

static void sent(void)
{
    struct sigaction action = {.sa_sigaction = informed, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    moment(AFTER_THE_HANDLER);
    CHECK(kill(getpid(), SIGSEGV) == 0 && calls == 1);
    CHECK(sigqueue(getpid(), SIGSEGV, (union sigval){.sival_int = 4711}) == 0 && calls == 2);
}

/* A fault while the signal is blocked is the kernel's to deal with: it kills. */
static void blocked(void)
{
    struct sigaction action = {.sa_sigaction = informed, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    moment(AFTER_THE_HANDLER);
    sighold(SIGSEGV);
    write_to(closed_page());
}

int main(void)
{
    at_each_moment(fault, SIGSEGV);
    at_each_moment(no_address, SIGSEGV);
    at_each_moment(given_up, SIGSEGV);
    at_each_moment(killed, SIGSEGV);
    at_each_moment(raised, SIGBUS);
    at_each_moment(ignored, SIGSEGV);
    at_each_moment(sent, 0);
    at_each_moment(blocked, SIGSEGV);
    return 0;
}
