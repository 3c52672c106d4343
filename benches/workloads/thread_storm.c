/* Many short-lived threads: `total` in all, `alive` at a time, each of which makes a few hundred
   requests, frees them at random and leaves one block to whoever joins it. What an allocator sets
   up for a thread, and what a thread leaves behind, count here. */
#include "workload.h"

enum { HELD = 64 };

static size_t requests;

struct thread {
    pthread_t thread;
    uint64_t state, check;
};

static void *live(void *argument)
{
    struct thread *self = argument;
    void *held[HELD] = {NULL};
    for (size_t i = 0; i < requests; i++) {
        void **place = &held[draw_below(&self->state, HELD)];
        self->check += release(*place);
        *place = take_marked(draw_size(&self->state, 16, 1024), i);
    }
    for (size_t i = 0; i < HELD; i++)
        self->check += release(held[i]);
    return take_marked(draw_size(&self->state, 16, 1024), requests);
}

int main(int argc, char **argv)
{
    workload_begin(argc, argv);
    size_t total = scaled(argument("total", 16000)), alive = argument("alive", 8);
    requests = argument("requests", 300);
    struct thread *thread = take(alive * sizeof *thread);
    uint64_t check = 0;
    for (size_t i = 0; i < total + alive; i++) {
        struct thread *place = &thread[i % alive];
        if (i >= alive && i - alive < total) {
            void *left;
            if (pthread_join(place->thread, &left) != 0)
                fail("cannot join a thread");
            check += place->check + release(left);
        }
        if (i < total) {
            *place = (struct thread){.state = draw_seed(i)};
            start(&place->thread, live, place);
        }
    }
    free(thread);
    return finish(check);
}
