/* expect: exit 0
   modes: link static
   Two threads free the same blocks at the same time: each block has exactly one successful free. */
#include "check.h"
#include "glebe.h"
#include <pthread.h>
#include <stdatomic.h>

enum { COUNT = 2000, ROUNDS = 50 };
static void *block[COUNT];
static atomic_int successes, refusals;
static pthread_barrier_t barrier;

static void *racer(void *unused)
{
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&barrier);
        for (int i = 0; i < COUNT; i++)
            switch (glebe_free_checked(block[i])) {
            case GLEBE_FREE_SUCCESS: atomic_fetch_add(&successes, 1); break;
            case GLEBE_FREE_ALREADY_FREE: atomic_fetch_add(&refusals, 1); break;
            default: CHECK(!"a block of ours");
            }
        pthread_barrier_wait(&barrier);
    }
    return unused;
}

int main(void)
{
    const size_t sizes[] = {16, 500, 9000, 40 * KIB, 2 * MIB};
    pthread_t thread[2];
    pthread_barrier_init(&barrier, NULL, 3);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&thread[i], NULL, racer, NULL) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < COUNT; i++)
            block[i] = malloc(sizes[round % 5]);
        successes = refusals = 0;
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        CHECK(successes == COUNT && refusals == COUNT);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    return 0;
}
