/* expect: exit 0
   modes: link preload static
   under: nothing
   under: GLEBE_HARDENED=1
   Producers hand filled blocks of all sizes to consumers, who check and free them. */
#include "check.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { SLOTS = 1024, PER_PRODUCER = 300000 };
static _Atomic(size_t *) slot[SLOTS];
static atomic_int producing = 3;

static void *produce(void *number)
{
    uint64_t random = 77 + (uintptr_t)number;
    for (int i = 0; i < PER_PRODUCER; i++) {
        size_t size = sizeof(size_t) + random_size(&random, 300 * KIB);
        size_t *block = malloc(size), *empty = NULL;
        CHECK(block != NULL);
        fill(block, size, (int)size);
        block[0] = size;
        if (!atomic_compare_exchange_strong(&slot[next_random(&random) % SLOTS], &empty, block))
            free(block);
    }
    atomic_fetch_sub(&producing, 1);
    return NULL;
}

static void *consume(void *number)
{
    for (int last = 0; !last; sched_yield()) {
        last = producing == 0;
        for (size_t i = 0; i < SLOTS; i++) {
            size_t *block = atomic_exchange(&slot[(i + (uintptr_t)number * 512) % SLOTS], NULL);
            if (!block)
                continue;
            size_t size = block[0];
            CHECK(malloc_usable_size(block) >= size);
            CHECK(holds(block + 1, size - sizeof(size_t), (int)size));
            free(block);
        }
    }
    return NULL;
}

int main(void)
{
    pthread_t thread[5];
    for (size_t i = 0; i < 5; i++)
        CHECK(pthread_create(&thread[i], NULL, i < 3 ? produce : consume, (void *)i) == 0);
    for (int i = 0; i < 5; i++)
        pthread_join(thread[i], NULL);
    return 0;
}
