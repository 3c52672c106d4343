/* expect: exit 0
   modes: link preload
   A thread that frees the blocks of others and allocates none of their size keeps no slab of which
   three quarters are free: who allocates gets the blocks, while that thread lives. */
#include "check.h"
#include <pthread.h>

/* Blocks of which 64 KiB, a slab, hold 256. */
enum { BYTES = 256, IN_A_SLAB = 256, SLABS = 3, BLOCKS = (SLABS + 2) * IN_A_SLAB };

static char *block[BLOCKS];
static uintptr_t slab[SLABS];
static pthread_barrier_t barrier;

static uintptr_t slab_of(const void *address)
{
    return (uintptr_t)address >> 16;
}

static size_t blocks_in(uintptr_t which)
{
    size_t count = 0;
    for (int i = 0; i < BLOCKS; i++)
        count += block[i] && slab_of(block[i]) == which;
    return count;
}

static void *only_free(void *unused)
{
    (void)unused;
    free(malloc(16)); /* So that more than one thread allocates. */
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    for (int s = 0; s < SLABS; s++)
        for (int i = 0, freed = 0; i < BLOCKS && freed < IN_A_SLAB * 3 / 4; i++)
            if (block[i] && slab_of(block[i]) == slab[s]) {
                free(block[i]);
                block[i] = NULL;
                freed++;
            }
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return NULL;
}

int main(void)
{
    pthread_t thread;
    CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, only_free, NULL) == 0);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < BLOCKS; i++)
        CHECK((block[i] = malloc(BYTES)) != NULL);
    int whole = 0;
    for (int i = 0; i < BLOCKS && whole < SLABS; i++) {
        slab[whole] = slab_of(block[i]);
        int seen = 0;
        while (slab[seen] != slab[whole])
            seen++;
        whole += seen == whole && blocks_in(slab[whole]) == IN_A_SLAB;
    }
    CHECK(whole == SLABS);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    size_t reused[SLABS] = {0};
    for (int i = 0; i < BLOCKS; i++) {
        char *volatile one = malloc(BYTES);
        CHECK(one);
        for (int s = 0; s < SLABS; s++)
            reused[s] += slab_of(one) == slab[s];
    }
    for (int s = 0; s < SLABS; s++)
        CHECK(reused[s] >= IN_A_SLAB * 3 / 4 - 1);
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
    return 0;
}
