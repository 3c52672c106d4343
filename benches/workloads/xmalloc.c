/* Producers allocate, consumers free: no block is ever freed by the thread that allocated it. After
   xmalloc-test of C. Lever and D. Boreham, "malloc() performance in a multithreaded Linux
   environment" (USENIX 2000).

   Blocks go through a bounded queue in batches; the record of a batch is itself a block. */
#include "workload.h"

enum { BLOCKS = 1024, QUEUE = 16 };

struct batch {
    struct batch *next;
    void *block[BLOCKS];
};

struct thread {
    pthread_t thread;
    size_t batches; /* of a producer: to make */
    uint64_t state, check;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_full = PTHREAD_COND_INITIALIZER, not_empty = PTHREAD_COND_INITIALIZER;
static struct batch *queue;
static size_t queued, unclaimed; /* batches in the queue; batches that no consumer has had yet */

static void put(struct batch *batch)
{
    pthread_mutex_lock(&lock);
    while (queued == QUEUE)
        pthread_cond_wait(&not_full, &lock);
    batch->next = queue;
    queue = batch;
    queued++;
    pthread_cond_signal(&not_empty);
    pthread_mutex_unlock(&lock);
}

/* NULL when all batches have been claimed. */
static struct batch *get(void)
{
    struct batch *batch = NULL;
    pthread_mutex_lock(&lock);
    while (queued == 0 && unclaimed != 0)
        pthread_cond_wait(&not_empty, &lock);
    if (queued != 0) {
        batch = queue;
        queue = batch->next;
        queued--;
        if (--unclaimed == 0)
            pthread_cond_broadcast(&not_empty);
        pthread_cond_signal(&not_full);
    }
    pthread_mutex_unlock(&lock);
    return batch;
}

static void *produce(void *argument)
{
    struct thread *self = argument;
    for (size_t i = 0; i < self->batches; i++) {
        struct batch *batch = take(sizeof *batch);
        for (size_t j = 0; j < BLOCKS; j++)
            batch->block[j] = take_marked(draw_size(&self->state, 8, 512), j);
        put(batch);
    }
    return NULL;
}

static void *consume(void *argument)
{
    struct thread *self = argument;
    for (struct batch *batch; (batch = get()) != NULL; free(batch))
        for (size_t j = 0; j < BLOCKS; j++)
            self->check += release(batch->block[j]);
    return NULL;
}

int main(int argc, char **argv)
{
    workload_begin(argc, argv);
    size_t producers = argument("producers", 1), consumers = argument("consumers", 1);
    size_t batches = scaled(argument("batches", 9000)), count = producers + consumers;
    struct thread *thread = take(count * sizeof *thread);
    uint64_t check = 0, begin = now_ns();
    unclaimed = batches;
    for (size_t i = 0; i < count; i++) {
        size_t share = i < producers ? batches / producers + (i < batches % producers) : 0;
        thread[i] = (struct thread){.batches = share, .state = draw_seed(i)};
        start(&thread[i].thread, i < producers ? produce : consume, &thread[i]);
    }
    for (size_t i = 0; i < count; i++) {
        join(thread[i].thread);
        check += thread[i].check;
    }
    metric("block", (double)(now_ns() - begin) / (double)(batches * BLOCKS), "ns");
    free(thread);
    return finish(check);
}
