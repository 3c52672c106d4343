/* Threads that allocate, resize and free with a check of every block's contents, and share blocks
   through slots: whoever takes a block out of a slot may check and free it. */
#include "check.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { CHURN_SLOTS = 256 };

struct Shared {
    size_t size;
    unsigned char rest[];
};

static _Atomic(struct Shared *) churn_slot[CHURN_SLOTS];
static atomic_int churn_stop;
/* Threads that have filled their caches. */
static atomic_int churn_warm;

static inline struct Shared *churn_make(size_t size)
{
    struct Shared *block = malloc(sizeof *block + size);
    CHECK(block != NULL);
    block->size = size;
    fill(block->rest, size, (int)size);
    return block;
}

static inline void churn_destroy(struct Shared *block)
{
    if (block)
        CHECK(holds(block->rest, block->size, (int)block->size));
    free(block);
}

/* One step of a churn whose blocks are up to `most` bytes. */
static inline void churn_step(uint64_t *random, size_t most)
{
    struct Shared *block = churn_make(random_size(random, most));
    if (next_random(random) % 8 == 0) {
        size_t size = random_size(random, most), kept = size < block->size ? size : block->size;
        block = realloc(block, sizeof *block + size);
        CHECK(block && holds(block->rest, kept, (int)block->size));
        block->size = size;
        fill(block->rest, size, (int)size);
    }
    if (next_random(random) % 16 == 0) {
        size_t size = random_size(random, most);
        unsigned char *zero = calloc(1, size);
        CHECK(zero && holds(zero, size, 0));
        fill(zero, size, 1);
        free(zero);
        void *aligned = aligned_alloc((size_t)16 << next_random(random) % 9, size);
        CHECK(aligned != NULL);
        fill(aligned, size, 2);
        free(aligned);
    }
    churn_destroy(atomic_exchange(&churn_slot[next_random(random) % CHURN_SLOTS], block));
}

static inline void *churn_until_stopped(void *seed)
{
    uint64_t random = 1000 + (uintptr_t)seed;
    for (int i = 0; !churn_stop; i++) {
        churn_step(&random, 40 * KIB);
        if (i % 16 == 0)
            sched_yield();
        if (i == 2000)
            churn_warm++;
    }
    return NULL;
}

static inline void churn_start(pthread_t *thread, size_t count)
{
    for (size_t i = 0; i < count; i++)
        CHECK(pthread_create(&thread[i], NULL, churn_until_stopped, (void *)i) == 0);
}

static inline void churn_end(pthread_t *thread, size_t count)
{
    churn_stop = 1;
    for (size_t i = 0; i < count; i++)
        CHECK(pthread_join(thread[i], NULL) == 0);
    churn_stop = 0;
}

/* What a child does after a fork: a block of every class, and the blocks that it got from its
   parent. Dies of SIGALRM rather than hang. */
static inline void churn_in_child(unsigned patience_seconds)
{
    alarm(patience_seconds);
    for (size_t size = 1; size < 32 * KIB; size += size / 8 + 1) {
        struct Shared *one = churn_make(size), *two = churn_make(size);
        churn_destroy(one);
        churn_destroy(two);
    }
    for (size_t size = 33 * KIB; size < 5 * MIB; size *= 2) {
        unsigned char *zero = calloc(size, 1);
        CHECK(zero && zero[0] == 0 && zero[size - 1] == 0);
        zero[0] = zero[size - 1] = 1;
        free(zero);
    }
    for (int i = 0; i < CHURN_SLOTS; i++)
        churn_destroy(atomic_exchange(&churn_slot[i], NULL));
}
