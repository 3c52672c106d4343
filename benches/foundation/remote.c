/*
 * `remote PAIRS`: in each pair of threads one takes blocks of 16 to 511 bytes and hands them to
 * the other, which frees them all. Writes the minimum and the median of nanoseconds per block.
 */
#include "clock.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { REPEATS = 9, MOST = 16, BATCH = 256, BATCHES = 2000, DEPTH = 16 };

typedef struct {
    _Alignas(64) atomic_uint filled;
    _Alignas(64) atomic_uint emptied;
    char *blocks[DEPTH][BATCH];
} Lane;
static Lane lanes[MOST];

static void *produce(void *argument) {
    Lane *lane = argument;
    uint32_t state = 88172645 + (uint32_t)(lane - lanes);
    for (unsigned batch = 0; batch < BATCHES; batch++) {
        while (batch - atomic_load_explicit(&lane->emptied, memory_order_acquire) == DEPTH)
            sched_yield();
        for (int i = 0; i < BATCH; i++) {
            char *block = malloc(16 + draw(&state) % 496);
            *block = (char)i;
            lane->blocks[batch % DEPTH][i] = block;
        }
        atomic_store_explicit(&lane->filled, batch + 1, memory_order_release);
    }
    return NULL;
}

static void *consume(void *argument) {
    Lane *lane = argument;
    for (unsigned batch = 0; batch < BATCHES; batch++) {
        while (batch == atomic_load_explicit(&lane->filled, memory_order_acquire)) sched_yield();
        for (int i = 0; i < BATCH; i++) {
            char *block = lane->blocks[batch % DEPTH][i];
            if (*block != (char)i) abort();
            free(block);
        }
        atomic_store_explicit(&lane->emptied, batch + 1, memory_order_release);
    }
    return NULL;
}

int main(int count, char **arguments) {
    int pairs = count == 2 ? atoi(arguments[1]) : 0;
    if (pairs < 1 || pairs > MOST) return 2;
    double figures[REPEATS];
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        pthread_t threads[2 * MOST];
        double start = now();
        for (int i = 0; i < pairs; i++) {
            lanes[i].filled = lanes[i].emptied = 0;
            pthread_create(&threads[2 * i], NULL, produce, &lanes[i]);
            pthread_create(&threads[2 * i + 1], NULL, consume, &lanes[i]);
        }
        for (int i = 0; i < 2 * pairs; i++) pthread_join(threads[i], NULL);
        figures[repeat] = (now() - start) / ((double)pairs * BATCH * BATCHES);
    }
    report(figures, REPEATS);
    return 0;
}
