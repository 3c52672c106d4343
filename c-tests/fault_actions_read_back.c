/* expect: exit 0
   modes: link preload static
   flags: -Wno-deprecated-declarations
   sigaction shows for SIGSEGV and SIGBUS exactly what it shows for another signal set likewise:
   handler, flags and mask; wrong arguments get the same errors. */
#include "faults.h"

static void handle(int signal)
{
    (void)signal;
}

static const int choices[] = {SA_SIGINFO, SA_RESETHAND, SA_ONSTACK, SA_NODEFER, SA_RESTART};
enum { CHOICES = sizeof choices / sizeof *choices };

static void same(const struct sigaction *left, const struct sigaction *right)
{
    CHECK(left->sa_handler == right->sa_handler && left->sa_flags == right->sa_flags);
    for (int signal = 1; signal <= 64; signal++)
        CHECK(sigismember(&left->sa_mask, signal) == sigismember(&right->sa_mask, signal));
}

static void test(void)
{
    void (*const handlers[])(int) = {SIG_DFL, SIG_IGN, handle};
    struct sigaction expected, shown;
    for (int i = 0; i < 3 << CHOICES; i++) {
        struct sigaction set = {.sa_handler = handlers[i >> CHOICES]};
        for (int flag = 0; flag < CHOICES; flag++)
            set.sa_flags |= i >> flag & 1 ? choices[flag] : 0;
        sigaddset(&set.sa_mask, 1 + i % 64);
        sigaddset(&set.sa_mask, SIGTERM);
        CHECK(sigaction(SIGUSR1, &set, NULL) == 0 && sigaction(SIGUSR1, NULL, &expected) == 0);
        CHECK(sigaction(SIGSEGV, &set, NULL) == 0 && sigaction(SIGBUS, &set, NULL) == 0);
        if (i == 3)
            moment(AFTER_THE_HANDLER);
        errno = 4711;
        CHECK(sigaction(SIGSEGV, NULL, &shown) == 0 && errno == 4711);
        same(&shown, &expected);
        struct sigaction other = {.sa_handler = SIG_DFL};
        CHECK(sigaction(SIGBUS, &other, &shown) == 0);
        same(&shown, &expected);
        CHECK(sigaction(SIGBUS, NULL, &shown) == 0 && shown.sa_handler == SIG_DFL);
    }
    CHECK(signal(SIGSEGV, SIG_ERR) == SIG_ERR && errno == EINVAL);
    errno = 0;
    CHECK(signal(0, SIG_DFL) == SIG_ERR && errno == EINVAL);
    errno = 0;
    CHECK(sigaction(65, NULL, &shown) == -1 && errno == EINVAL);
    errno = 0;
    CHECK(sigaction(SIGKILL, &shown, NULL) == -1 && errno == EINVAL);
    CHECK(sigset(SIGSEGV, SIG_HOLD) == handle && is_blocked(SIGSEGV));
    CHECK(sigset(SIGSEGV, SIG_DFL) == SIG_HOLD && !is_blocked(SIGSEGV));
    CHECK(sigignore(SIGSEGV) == 0 && sigset(SIGSEGV, SIG_DFL) == SIG_IGN);
}

int main(void)
{
    at_each_moment(test, 0);
    return 0;
}
