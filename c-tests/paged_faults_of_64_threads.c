/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   Sixty-four threads read one page that is out at the same instant, then add to counters in it; then
   each reads and writes pages of its own. */
#include "paged.h"
#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 64, ROUNDS = 3, PAGES = 64, OWN = 40 };

static unsigned char *shared, *own;
static pthread_barrier_t all;

static void *work(void *number)
{
    size_t self = (size_t)number;
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&all);
        if (self == 0)
            push_out_object(shared, PAGES * PAGE);
        pthread_barrier_wait(&all);
        for (size_t page = 0; page < PAGES; page++) {
            unsigned char *start = shared + page * PAGE;
            CHECK(painted_part(shared, page * PAGE, PAGE / 2, 77));
            atomic_fetch_add((_Atomic uint64_t *)(start + PAGE / 2), 1);
            start[PAGE / 2 + 8 + self] += 1;
        }
        for (size_t step = 0; step < OWN; step++) {
            size_t place = (step * THREADS + self) * PAGE;
            CHECK(painted_part(own, place, PAGE, 1000 + round));
            paint_part(own, place, PAGE, 1001 + round);
        }
    }
    return NULL;
}

int main(void)
{
    pthread_t thread[THREADS];
    start_paged();
    CHECK((shared = aligned_alloc(PAGE, PAGES * PAGE)) && (own = aligned_alloc(PAGE, OWN * THREADS * PAGE)));
    memset(shared, 0, PAGES * PAGE);
    for (size_t page = 0; page < PAGES; page++)
        paint_part(shared, page * PAGE, PAGE / 2, 77);
    paint(own, OWN * THREADS * PAGE, 1000);
    pthread_barrier_init(&all, NULL, THREADS);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&thread[i], NULL, work, (void *)i) == 0);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_join(thread[i], NULL) == 0);
    for (size_t page = 0; page < PAGES; page++) {
        unsigned char *start = shared + page * PAGE + PAGE / 2;
        uint64_t sum;
        memcpy(&sum, start, sizeof sum);
        CHECK(sum == THREADS * ROUNDS);
        for (size_t i = 0; i < THREADS; i++)
            CHECK(start[8 + i] == ROUNDS);
    }
    CHECK(painted(own, OWN * THREADS * PAGE, 1000 + ROUNDS));
    check_budget_is_kept();
    return 0;
}
