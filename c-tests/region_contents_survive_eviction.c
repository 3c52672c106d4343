/* expect: exit 0
   modes: link
   flags: -pthread
   Four threads write functions of the address all over a region eight times its budget, evict,
   and read back; the memory in use stays near the budget. */
#include "region.h"
#include <pthread.h>

enum { SIZE = 32 << 20, BUDGET = 4 << 20, THREADS = 4 };

static char *base;
static glebe_region region;

static void *work(void *argument)
{
    size_t part = SIZE / THREADS, own = part * (size_t)argument;
    uint64_t seed = 1234567 + own;
    for (int round = 1; round <= 3; round++) {
        for (size_t at = own; at < own + part; at += 8)
            *(uint64_t *)(base + at) = at / 32 * (uint64_t)round;
        for (int look = 0; look < 3000; look++) {
            size_t at = own + next_random(&seed) % part / 8 * 8;
            CHECK(*(uint64_t *)(base + at) == at / 32 * (uint64_t)round);
            if (look % 1000 == 0)
                CHECK(glebe_region_evict(region, base + at, 1) == GLEBE_REGION_OK);
        }
        for (size_t at = own; at < own + part; at += 8)
            CHECK(*(uint64_t *)(base + at) == at / 32 * (uint64_t)round);
    }
    return NULL;
}

int main(void)
{
    glebe_region_options options = region_options(SIZE, BUDGET);
    options.page_size = 16 * KIB;
    size_t before = resident_bytes();
    base = create_region(&options, &region);
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    glebe_region_statistics statistics = region_statistics(region);
    CHECK(statistics.faults > 0 && statistics.stored_faults > 0 && statistics.evicted > 0);
    CHECK(statistics.stored > 0 && statistics.store_size > 0 && statistics.stall_ns > 0);
    size_t ours = statistics.resident + statistics.staged + statistics.store_size;
    CHECK(resident_bytes() < before + ours + 4 * MIB);
    CHECK(glebe_region_delete(region) == GLEBE_REGION_OK);
    return 0;
}
