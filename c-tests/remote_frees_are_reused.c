/* expect: exit 0
   modes: link preload
   One thread only allocates, another only frees: the owner takes its blocks back, so that 4 GiB
   pass through a heap of some MiB. */
#include "check.h"
#include <pthread.h>
#include <semaphore.h>

enum { BATCH = 1000, SIZE = 1000 };
static void *block[2][BATCH];
static sem_t full, empty;

static void *free_batches(void *unused)
{
    for (int round = 0; round < 4000; round++) {
        sem_wait(&full);
        for (int i = 0; i < BATCH; i++)
            free(block[round % 2][i]);
        sem_post(&empty);
    }
    return unused;
}

int main(void)
{
    pthread_t thread;
    sem_init(&full, 0, 0);
    sem_init(&empty, 0, 2);
    CHECK(pthread_create(&thread, NULL, free_batches, NULL) == 0);
    for (int round = 0; round < 4000; round++) {
        sem_wait(&empty);
        for (int i = 0; i < BATCH; i++) {
            CHECK((block[round % 2][i] = malloc(SIZE)) != NULL);
            fill(block[round % 2][i], 16, round);
        }
        sem_post(&full);
    }
    pthread_join(thread, NULL);
    CHECK(resident_bytes() < 40 * MIB);
    return 0;
}
