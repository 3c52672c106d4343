/*
 * Operations of one kind, for counting what they write that threads share.
 *
 * operations own COUNT THREADS         each thread replaces random ones of its 4096 blocks of 16 to
 *                                      1015 bytes: COUNT calls of malloc and as many of free
 * operations remote COUNT THREADS      half of the threads allocate COUNT blocks of 64 bytes, the
 *                                      other half frees them
 * operations objects:KIB COUNT THREADS each thread replaces random ones of its 16 objects of KIB to
 *                                      twice as many KiB: COUNT objects come and go
 *
 * COUNT is divided among the threads. The allocator's statistics say the rest.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_THREADS = 256, BLOCKS = 4096, OBJECTS = 16, BATCH = 1000 };

/* Two threads: one allocates, one frees. */
struct couple {
    pthread_barrier_t barrier;
    void *batch[BATCH];
};

static long count, threads;
static size_t object_bytes;
static struct couple couples[MOST_THREADS / 2];

static uint64_t draw(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static void replace(void **slots, int places, size_t least, size_t span, uint64_t state) {
    for (long i = 0; i < count / threads; i++) {
        void **slot = &slots[draw(&state) % places];
        free(*slot);
        *slot = malloc(least + draw(&state) % span);
        if (!*slot) abort();
        *(volatile char *)*slot = 1;
    }
    for (int i = 0; i < places; i++) free(slots[i]);
}

static void *own(void *number) {
    static _Thread_local void *slots[BLOCKS];
    replace(slots, BLOCKS, 16, 1000, 88172645463325252 + (uintptr_t)number);
    return NULL;
}

static void *objects(void *number) {
    void *slots[OBJECTS] = {0};
    replace(slots, OBJECTS, object_bytes, object_bytes, 88172645463325252 + (uintptr_t)number);
    return NULL;
}

static void *remote(void *number) {
    struct couple *couple = &couples[(uintptr_t)number / 2];
    int allocates = (uintptr_t)number % 2 == 0;
    for (long done = 0; done < count / (threads / 2); done += BATCH) {
        for (int i = 0; allocates && i < BATCH; i++) couple->batch[i] = malloc(64);
        pthread_barrier_wait(&couple->barrier);
        for (int i = 0; !allocates && i < BATCH; i++) free(couple->batch[i]);
        pthread_barrier_wait(&couple->barrier);
    }
    return NULL;
}

int main(int words, char **arguments) {
    if (words != 4) return 2;
    void *(*kind)(void *) = !strcmp(arguments[1], "own") ? own : remote;
    if (!strncmp(arguments[1], "objects:", 8)) {
        kind = objects;
        object_bytes = strtoul(arguments[1] + 8, NULL, 10) << 10;
    }
    count = atol(arguments[2]);
    threads = atol(arguments[3]);
    if (count < 1 || threads < 2 || threads > MOST_THREADS || threads % 2) return 2;
    pthread_t started[MOST_THREADS];
    for (long i = 0; i < threads / 2; i++) pthread_barrier_init(&couples[i].barrier, NULL, 2);
    for (long i = 0; i < threads; i++) {
        if (pthread_create(&started[i], NULL, kind, (void *)i)) return 1;
    }
    for (long i = 0; i < threads; i++) pthread_join(started[i], NULL);
    return 0;
}
