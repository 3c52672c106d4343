/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   Threads fault, allocate and use stdio while another forks. The FILEs, opened long ago, are out;
   the child writes through them, allocates more than the budget, and ends by exit. */
#include "paged.h"
#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 4, FILES = 32, FORKS = 5 };

static struct Painted set[THREADS][20000];
static FILE *file[FILES];
static atomic_int done, warm;

static void *fault(void *number)
{
    size_t self = (size_t)number;
    uint64_t random = 90 + self;
    size_t count = make_set(set[self], 20000, budgets(2) / THREADS, &random, 1);
    warm++;
    while (!done) {
        struct Painted *object = &set[self][next_random(&random) % count];
        check_painted(object);
        *object = repaint(*object, 2);
        FILE *other = fopen("/dev/null", "w");
        CHECK(other && fprintf(other, "%zu", self) > 0 && fclose(other) == 0);
    }
    for (size_t i = 0; i < count; i++)
        free_painted(&set[self][i]);
    return NULL;
}

static void child_of(int round, uint64_t random)
{
    static struct Painted own[100000];
    alarm(100);
    for (int i = 0; i < FILES; i++)
        CHECK(fprintf(file[i], "%d %d\n", round, i) > 0);
    size_t count = make_set(own, 100000, budgets(1), &random, 7);
    for (size_t i = 0; i < count; i++)
        free_painted(&own[i]);
    exit(0);
}

int main(void)
{
    pthread_t thread[THREADS];
    start_paged();
    for (int i = 0; i < FILES; i++)
        CHECK((file[i] = tmpfile()) && fprintf(file[i], "start\n") > 0);
    fflush(NULL);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&thread[i], NULL, fault, (void *)i) == 0);
    while (warm < THREADS)
        usleep(1000);
    for (int round = 0; round < FORKS; round++) {
        pid_t child = fork();
        if (child == 0)
            child_of(round, 1000 + (unsigned)round);
        CHECK(status_of(child) == 0);
    }
    done = 1;
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_join(thread[i], NULL) == 0);
    for (int i = 0; i < FILES; i++) {
        char text[100], right[100];
        rewind(file[i]);
        CHECK(fgets(text, sizeof text, file[i]) && strcmp(text, "start\n") == 0);
        for (int round = 0; round < FORKS; round++) {
            snprintf(right, sizeof right, "%d %d\n", round, i);
            CHECK(fgets(text, sizeof text, file[i]) && strcmp(text, right) == 0);
        }
    }
    check_budget_is_kept();
    return 0;
}
