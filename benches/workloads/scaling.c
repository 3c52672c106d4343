/* The same work split over 2 to 64 threads: random replacements in slots of their own, and now and
   then an exchange with a table that all share. The blocks of one thread fit into a processor's own
   cache whatever the number of threads, so that with more threads than processors only what the
   allocator adds for each thread, and the scheduler, cost time. */
#include "workload.h"

enum { SLOTS = 1000, SHARED = 256 };

static void *shared[SHARED];
static size_t threads, operations;

struct thread {
    pthread_t thread;
    uint64_t state, check;
};

static void *run(void *argument)
{
    struct thread *self = argument;
    uint64_t check = 0, state = self->state;
    void *slot[SLOTS] = {NULL};
    for (size_t i = 0; i < operations / threads; i++) {
        void **place = &slot[draw_below(&state, SLOTS)];
        if (i % 32 == 0) {
            void **other = &shared[draw_below(&state, SHARED)];
            *place = __atomic_exchange_n(other, *place, __ATOMIC_ACQ_REL);
        }
        check += release(*place);
        *place = take_marked(draw_size(&state, 16, 512), i);
    }
    for (size_t i = 0; i < SLOTS; i++)
        check += release(slot[i]);
    self->check = check;
    return NULL;
}

int main(int argc, char **argv)
{
    workload_begin(argc, argv);
    threads = argument("threads", 2);
    operations = scaled(argument("operations", 40000000));
    struct thread *thread = take(threads * sizeof *thread);
    uint64_t check = 0, begin = now_ns();
    for (size_t i = 0; i < threads; i++) {
        thread[i] = (struct thread){.state = draw_seed(i)};
        start(&thread[i].thread, run, &thread[i]);
    }
    for (size_t i = 0; i < threads; i++) {
        join(thread[i].thread);
        check += thread[i].check;
    }
    metric("rate", (double)operations * 1000 / (double)(now_ns() - begin), "Mop/s");
    for (size_t i = 0; i < SHARED; i++)
        check += release(shared[i]);
    free(thread);
    return finish(check);
}
