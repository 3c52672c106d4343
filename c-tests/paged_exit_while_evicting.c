/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=8M
   under: GLEBE_BUDGET=8M GLEBE_STORE=file
   Sixty processes end, in every way there is, while their threads fault and the evictor works:
   the status is right, handlers run, and none hangs. */
#include "paged.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

enum { THREADS = 3 };

static atomic_size_t filled;

static void *fill_for_ever(void *number)
{
    static struct Painted set[THREADS][2000];
    size_t self = (size_t)number;
    uint64_t random = 40 + self;
    for (size_t i = 0;; i = (i + 1) % 2000) {
        if (set[self][i].start)
            free_painted(&set[self][i]);
        set[self][i] = make_painted(mixed_size(&random), 1);
        filled += set[self][i].size;
    }
    return NULL;
}

static void read_at_exit(void)
{
    static struct Painted own[100];
    uint64_t random = 3;
    size_t count = make_set(own, 100, MIB, &random, 1);
    for (size_t i = 0; i < count; i++)
        free_painted(&own[i]);
}

static void run_and_end(int number)
{
    pthread_t thread[THREADS];
    alarm(60);
    CHECK(atexit(read_at_exit) == 0);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&thread[i], NULL, fill_for_ever, (void *)i) == 0);
    size_t enough = budget() + (unsigned)number * 100 * KIB;
    while (filled < enough)
        usleep(100);
    switch (number % 4) {
    case 0:
        exit(number % 64);
    case 1:
        _exit(number % 64);
    case 2:
        kill(getpid(), SIGTERM);
        pause();
        break;
    default:
        pthread_kill(thread[0], SIGKILL);
        pause();
    }
}

int main(void)
{
    start_paged();
    for (int number = 0; number < 60; number++) {
        pid_t child = fork();
        if (child == 0)
            run_and_end(number);
        int right[] = {number % 64, number % 64, 128 + SIGTERM, 128 + SIGKILL};
        CHECK(status_of(child) == right[number % 4]);
    }
    return 0;
}
