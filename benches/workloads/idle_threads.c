/* Many threads each work a little, keep a few blocks and then sit idle, while one thread works on.
   What the idle ones hold in their caches is of no use to it: `idle` is resident memory when all
   are idle, `working` when the one has done its work. */
#include "workload.h"

enum { HELD = 128, KEPT = 8 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static size_t idle;
static int leaving;

struct thread {
    pthread_t thread;
    uint64_t state, check;
};

static uint64_t work(void **held, size_t operations, uint64_t *state)
{
    uint64_t check = 0;
    for (size_t i = 0; i < operations; i++) {
        void **place = &held[draw_below(state, HELD)];
        check += release(*place);
        *place = take_marked(draw_size(state, 16, 4096), i);
    }
    return check;
}

static void *work_and_idle(void *argument)
{
    struct thread *self = argument;
    void *held[HELD] = {NULL};
    self->check = work(held, 4 * HELD, &self->state);
    for (size_t i = KEPT; i < HELD; i++)
        self->check += release(held[i]);
    pthread_mutex_lock(&lock);
    idle++;
    pthread_cond_broadcast(&changed);
    while (!leaving)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < KEPT; i++)
        self->check += release(held[i]);
    return NULL;
}

int main(int argc, char **argv)
{
    workload_begin(argc, argv);
    size_t threads = argument("threads", 500), operations = scaled(argument("operations", 12000000));
    struct thread *thread = take(threads * sizeof *thread);
    for (size_t i = 0; i < threads; i++) {
        thread[i] = (struct thread){.state = draw_seed(i)};
        start(&thread[i].thread, work_and_idle, &thread[i]);
    }
    pthread_mutex_lock(&lock);
    while (idle < threads)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    metric("idle", (double)resident_kib(), "KiB");
    void *held[HELD] = {NULL};
    uint64_t state = draw_seed(threads), check = work(held, operations, &state);
    for (size_t i = 0; i < HELD; i++)
        check += release(held[i]);
    metric("working", (double)resident_kib(), "KiB");
    pthread_mutex_lock(&lock);
    leaving = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < threads; i++) {
        join(thread[i].thread);
        check += thread[i].check;
    }
    free(thread);
    return finish(check);
}
