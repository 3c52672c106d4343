/* One thread allocates, another only frees. Between them is a bounded queue, so few blocks live at a
   time, and resident memory must stay what it was early in the run: `early` is sampled after an
   eighth of the work, `late` at the end of it. */
#include "workload.h"

enum { BATCH = 256, QUEUE = 32 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static void *queue[QUEUE][BATCH];
static size_t filled, emptied, batches;

/* While the queue holds exactly `count` batches: 0, or all it can. */
static void wait_while(size_t count)
{
    pthread_mutex_lock(&lock);
    while (filled - emptied == count)
        pthread_cond_wait(&moved, &lock);
    pthread_mutex_unlock(&lock);
}

static void advance(size_t *end)
{
    pthread_mutex_lock(&lock);
    (*end)++;
    pthread_cond_signal(&moved);
    pthread_mutex_unlock(&lock);
}

static void *only_free(void *argument)
{
    uint64_t *check = argument;
    for (size_t i = 0; i < batches; i++) {
        wait_while(0);
        for (size_t j = 0; j < BATCH; j++)
            *check += release(queue[i % QUEUE][j]);
        advance(&emptied);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    workload_begin(argc, argv);
    batches = scaled(argument("batches", 20000));
    uint64_t check = 0, state = draw_seed(0);
    pthread_t thread;
    start(&thread, only_free, &check);
    for (size_t i = 0; i < batches; i++) {
        wait_while(QUEUE);
        for (size_t j = 0; j < BATCH; j++)
            queue[i % QUEUE][j] = take_marked(draw_size(&state, 16, 2048), j);
        advance(&filled);
        if (i == batches / 8)
            metric("early", (double)resident_kib(), "KiB");
    }
    metric("late", (double)resident_kib(), "KiB");
    join(thread);
    return finish(check);
}
