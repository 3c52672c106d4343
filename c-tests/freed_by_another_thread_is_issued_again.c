/* expect: exit 0
   modes: link
   under: GLEBE_SAMPLE=0
   Blocks that another thread freed come home when their owner runs out of blocks: each is at hand
   then, though the owner has no current slab and finds a partial one. None may be lost. A sampled block would come
   without a refill. */
#include "check.h"
#include "glebe.h"
#include <pthread.h>
#include <stdlib.h>

enum { BLOCKS = 4000, ROUNDS = 40, FREED = 20, BYTES = 64 };

static void *block[BLOCKS];

static size_t live_blocks(void)
{
    glebe_statistics now = {.struct_size = sizeof now};
    CHECK(glebe_get_statistics(&now) == 0);
    return now.live_blocks;
}

static void allocate_from(size_t from)
{
    for (size_t i = from; i < BLOCKS; i++)
        CHECK((block[i] = malloc(BYTES)));
}

static void free_from(size_t from)
{
    for (size_t i = from; i < BLOCKS; i++)
        free(block[i]);
}

static void *free_some(void *round)
{
    size_t first = *(size_t *)round * FREED;
    for (size_t i = first; i < first + FREED; i++)
        free(block[i]);
    return NULL;
}

int main(void)
{
    /* Until the bin has room for more than one. */
    for (int i = 0; i < ROUNDS; i++) {
        allocate_from(0);
        free_from(0);
    }
    allocate_from(0);
    for (size_t round = 0; round < ROUNDS; round++) {
        /* The slab that blocks came from last is empty, and goes. */
        free_from(BLOCKS / 2);
        glebe_purge();
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, free_some, &round) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        size_t before = live_blocks();
        void *volatile one = malloc(BYTES);
        CHECK(one);
        /* What came home counts as live until it does. */
        CHECK(live_blocks() == before + 1 - FREED);
        free(one);
        allocate_from(BLOCKS / 2);
    }
    return 0;
}
