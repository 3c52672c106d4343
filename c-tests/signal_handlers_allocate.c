/* expect: exit 0
   modes: preload static
   under: nothing
   under: GLEBE_HARDENED=1
   under: GLEBE_SAMPLE=100000
   A handler that interrupts malloc and free at any instruction allocates, frees its own blocks and
   those of the code it interrupted, and returns; contents are checked on both sides. */
#include "churn.h"
#include <sched.h>
#include <signal.h>
#include <sys/time.h>

static _Thread_local uint64_t random_in_handler = 4711;
static atomic_int handled;

static void handle(int signal)
{
    (void)signal;
    int error = errno;
    for (int i = 0; i < 4; i++)
        churn_step(&random_in_handler, handled % 64 ? 8 * KIB : 2 * MIB);
    handled++;
    errno = error;
}

static void *torment(void *target)
{
    while (handled < 2000) {
        int before = handled;
        CHECK(pthread_kill(*(pthread_t *)target, SIGUSR1) == 0);
        while (handled == before)
            sched_yield();
    }
    churn_stop = 1;
    return NULL;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    struct itimerval timer = {{0, 300}, {0, 300}};
    pthread_t self = pthread_self(), tormentor;
    uint64_t random = 99;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
    while (handled < 1000)
        churn_step(&random, 40 * KIB);
    timer = (struct itimerval){0};
    setitimer(ITIMER_REAL, &timer, NULL);
    CHECK(pthread_create(&tormentor, NULL, torment, &self) == 0);
    while (!churn_stop)
        churn_step(&random, 40 * KIB);
    pthread_join(tormentor, NULL);
    return 0;
}
