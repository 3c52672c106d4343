/* Threads that allocate at random and exchange blocks with each other at random, after mstress of
   mimalloc-bench. Most blocks are small, a few large; some are set aside until the thread ends; one
   of four steps swaps a block with a table that all threads share and that outlives them. In each
   round all threads are new. */
#include "workload.h"

enum { SHARED = 1000 };

static void *shared[SHARED];
static size_t requests;

struct thread {
    pthread_t thread;
    uint64_t state, check;
};

static void *request(uint64_t *state, size_t serial)
{
    uint64_t kind = draw(state) >> 57; /* of 128 */
    size_t size = kind == 0  ? draw_size(state, 64 * KIB, MIB)
                  : kind < 8 ? draw_size(state, KIB, 64 * KIB)
                             : draw_size(state, 16, KIB);
    return take_marked(size, serial);
}

/* What is drawn never depends on what other threads do, so all runs allocate the same blocks. */
static void *stress(void *argument)
{
    struct thread *self = argument;
    uint64_t *state = &self->state;
    void **held = take(2 * requests * sizeof *held), **aside = held + requests;
    size_t holding = 0, set_aside = 0;
    for (size_t made = 0; made < requests;) {
        size_t step = draw_below(state, 8);
        if (step < 3) {
            held[holding++] = request(state, made++);
        } else if (step == 3 && set_aside < requests / 16) {
            aside[set_aside++] = request(state, made++);
        } else if (holding != 0) {
            size_t at = draw_below(state, holding);
            if (step < 6) {
                void **place = &shared[draw_below(state, SHARED)];
                held[at] = __atomic_exchange_n(place, held[at], __ATOMIC_ACQ_REL);
            } else {
                self->check += release(held[at]);
                held[at] = held[--holding];
            }
        }
    }
    while (holding != 0)
        self->check += release(held[--holding]);
    while (set_aside != 0)
        self->check += release(aside[--set_aside]);
    free(held);
    return NULL;
}

int main(int argc, char **argv)
{
    workload_begin(argc, argv);
    size_t threads = argument("threads", 4), rounds = scaled(argument("rounds", 160 / threads));
    requests = argument("requests", 20000);
    struct thread *thread = take(threads * sizeof *thread);
    uint64_t check = 0;
    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < threads; i++) {
            thread[i] = (struct thread){.state = draw_seed(round * threads + i)};
            start(&thread[i].thread, stress, &thread[i]);
        }
        for (size_t i = 0; i < threads; i++) {
            join(thread[i].thread);
            check += thread[i].check;
        }
    }
    for (size_t i = 0; i < SHARED; i++)
        check += release(shared[i]);
    free(thread);
    return finish(check);
}
