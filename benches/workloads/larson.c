/* A server whose blocks outlive the threads that made them, after P. Larson and M. Krishnan, "Memory
   allocation for long-running server applications" (ISMM 1998).

   The main thread fills all slots and deals them out to chains of threads at random. A thread
   replaces random blocks of its chain, then starts a successor that goes on with the same slots, and
   ends; `threads` chains live at a time. */
#include "workload.h"
#include <semaphore.h>

static size_t slots, requests, generations, least, most;

struct chain {
    void **slot;
    uint64_t state, check;
    size_t generation;
    pthread_t thread; /* of the present generation */
    sem_t ended;
};

static void *request(uint64_t *state, size_t serial)
{
    return take_marked(least + draw_below(state, most - least + 1), serial);
}

static void *live(void *argument)
{
    struct chain *chain = argument;
    if (chain->generation != 0)
        join(chain->thread);
    chain->thread = pthread_self();
    for (size_t i = 0; i < requests; i++) {
        void **slot = &chain->slot[draw_below(&chain->state, slots)];
        chain->check += release(*slot);
        *slot = request(&chain->state, i);
    }
    if (++chain->generation < generations) {
        pthread_t successor;
        start(&successor, live, chain);
    } else {
        sem_post(&chain->ended);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    workload_begin(argc, argv);
    size_t threads = argument("threads", 2);
    slots = argument("slots", 5000);
    requests = argument("requests", 100000);
    generations = scaled(argument("generations", 400 / threads));
    least = argument("least", 8);
    most = argument("most", 1000);

    struct chain *chain = take(threads * sizeof *chain);
    void **slot = take(threads * slots * sizeof *slot);
    uint64_t check = 0, state = draw_seed(0);
    for (size_t i = 0; i < threads * slots; i++)
        slot[i] = request(&state, i);
    shuffle(slot, threads * slots, &state);

    for (size_t i = 0; i < threads; i++) {
        chain[i] = (struct chain){.slot = slot + i * slots, .state = draw_seed(i + 1)};
        sem_init(&chain[i].ended, 0, 0);
        pthread_t first;
        start(&first, live, &chain[i]);
    }
    for (size_t i = 0; i < threads; i++) {
        while (sem_wait(&chain[i].ended) != 0)
            continue;
        join(chain[i].thread);
        check += chain[i].check;
    }
    for (size_t i = 0; i < threads * slots; i++)
        check += release(slot[i]);
    free(slot);
    free(chain);
    return finish(check);
}
