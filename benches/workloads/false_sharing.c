/* Blocks of different threads in one cache line, after the programs cache-thrash and cache-scratch
   that E. Berger and others measured with Hoard (ASPLOS 2000).

   active: each thread allocates a small block, writes to it again and again, frees it, and starts
   over; an allocator that deals out one cache line to several threads makes them wait for each
   other. passive: the main thread allocates the first block of each thread, side by side with the
   others'; the thread frees it, and should not get its like back.

   This is done in several turns with new threads. In each the main thread keeps one block more, so
   that it is not chance whether the blocks of a turn lie in one line. */
#include "workload.h"

enum { TURNS = 16 };

struct thread {
    pthread_t thread;
    uint64_t *block; /* from the main thread */
    uint64_t check;
};

static size_t size, rounds, writes;
static pthread_barrier_t all_started;

static void *scribble(void *argument)
{
    struct thread *self = argument;
    uint64_t check = 0;
    pthread_barrier_wait(&all_started);
    if (self->block)
        check += release(self->block);
    for (size_t round = 0; round < rounds; round++) {
        volatile uint64_t *block = take(size);
        *block = round;
        for (size_t i = 0; i < writes; i++)
            *block += 1;
        check += *block;
        free((void *)block);
    }
    self->check = check;
    return NULL;
}

int main(int argc, char **argv)
{
    workload_begin(argc, argv);
    const char *mode = argument_word("mode", "active");
    int passive = strcmp(mode, "passive") == 0;
    if (!passive && strcmp(mode, "active") != 0)
        fail("mode is active or passive");
    size_t threads = argument("threads", 2);
    size = argument("size", 8);
    writes = argument("writes", 100);
    rounds = scaled(argument("rounds", 20000000)) / threads / TURNS;
    struct thread *thread = take(threads * sizeof *thread);
    pthread_barrier_init(&all_started, NULL, (unsigned)threads);
    void *kept[TURNS];
    uint64_t check = 0;
    for (size_t turn = 0; turn < TURNS; turn++) {
        kept[turn] = take_marked(size, turn);
        for (size_t i = 0; i < threads; i++)
            thread[i] = (struct thread){.block = passive ? take_marked(size, i) : NULL};
        for (size_t i = 0; i < threads; i++)
            start(&thread[i].thread, scribble, &thread[i]);
        for (size_t i = 0; i < threads; i++) {
            join(thread[i].thread);
            check += thread[i].check;
        }
    }
    for (size_t turn = 0; turn < TURNS; turn++)
        check += release(kept[turn]);
    free(thread);
    return finish(check);
}
