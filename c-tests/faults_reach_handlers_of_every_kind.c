/* expect: exit 0
   modes: link preload static
   flags: -Wno-deprecated-declarations
   Handlers set by sigaction, with and without SA_SIGINFO, signal, bsd_signal, ssignal, sysv_signal
   and sigset get the program's faults, whether set before or after the allocator's; the address is
   right, a faulting instruction is tried again, and errno is what the handler left. */
#include "faults.h"

typedef void handler(int);
extern handler *bsd_signal(int, handler *), *ssignal(int, handler *);
extern handler *__sysv_signal(int, handler *);

static char *volatile page;
static volatile int calls;

static void plain(int signal)
{
    CHECK(signal == SIGSEGV && is_blocked(SIGUSR1) == 0);
    open_page(page);
    calls++;
    errno = 4711;
}

static void informed(int signal, siginfo_t *info, void *context)
{
    CHECK(info->si_signo == signal && info->si_code == SEGV_ACCERR);
    CHECK(info->si_addr == page + 5 && context);
    plain(signal);
}

static void fault(void)
{
    int before = calls;
    moment(AFTER_THE_HANDLER);
    page = closed_page();
    errno = 1;
    write_to(page + 5);
    CHECK(page[5] == 1 && calls == before + 1 && errno == 4711 && !is_blocked(SIGSEGV));
}

static void handlers(void)
{
    struct sigaction action = {.sa_handler = plain};
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    fault();
    action = (struct sigaction){.sa_sigaction = informed, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    fault();
    CHECK((void *)signal(SIGSEGV, plain) == (void *)informed);
    fault();
    fault();
    CHECK(signal(SIGSEGV, SIG_DFL) == plain && bsd_signal(SIGSEGV, plain) == SIG_DFL);
    fault();
    CHECK(ssignal(SIGSEGV, plain) == plain);
    fault();
    CHECK(sigset(SIGSEGV, plain) == plain);
    fault();
    CHECK(sysv_signal(SIGSEGV, plain) == plain);
    fault();
    CHECK(signal(SIGSEGV, plain) == SIG_DFL && __sysv_signal(SIGSEGV, plain) == plain);
    fault();
    CHECK(signal(SIGSEGV, SIG_IGN) == SIG_DFL && signal(SIGSEGV, SIG_DFL) == SIG_IGN);
}

int main(void)
{
    at_each_moment(handlers, 0);
    return 0;
}
