/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_STORE=both
   under: GLEBE_BUDGET=32M GLEBE_SOURCE=mmap
   Eight threads, each with its share of four budgets: reads, writes, frees and allocates in random
   order, and hands the rest to the next thread, which reads and frees it. */
#include "paged.h"
#include <pthread.h>

enum { THREADS = 8, MOST = 20000 };

static struct Painted set[THREADS][MOST];
static size_t count[THREADS];
static pthread_barrier_t all;

static void *work(void *number)
{
    size_t self = (size_t)number, next = (self + 1) % THREADS;
    uint64_t random = 700 + self;
    count[self] = make_set(set[self], MOST, budgets(4) / THREADS, &random, 1);
    for (size_t i = 0; i < count[self]; i++) {
        struct Painted *object = &set[self][next_random(&random) % count[self]];
        check_painted(object);
        if (i % 4 == 0)
            *object = repaint(*object, 2);
        if (i % 4 == 1) {
            size_t size = object->size;
            free(object->start);
            *object = make_painted(size, 3);
        }
    }
    check_budget_is_kept();
    pthread_barrier_wait(&all);
    for (size_t i = 0; i < count[next]; i++)
        free_painted(&set[next][i]);
    return NULL;
}

int main(void)
{
    pthread_t thread[THREADS];
    start_paged();
    pthread_barrier_init(&all, NULL, THREADS);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&thread[i], NULL, work, (void *)i) == 0);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_join(thread[i], NULL) == 0);
    return 0;
}
