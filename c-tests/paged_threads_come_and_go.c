/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   A thousand threads, sixteen at a time: each takes over objects of those before it, which are out,
   frees some and leaves others, and ends. Their caches and slabs change hands while they are out. */
#include "paged.h"
#include <pthread.h>

enum { AT_A_TIME = 16, WAVES = 60, EACH = 500 };

static struct Painted set[AT_A_TIME][EACH];

static void *work(void *number)
{
    size_t self = (size_t)number % AT_A_TIME;
    uint64_t random = 1 + (size_t)number;
    for (size_t i = 0; i < EACH; i++) {
        struct Painted *object = &set[self][i];
        if (next_random(&random) % 8)
            continue;
        if (object->start)
            free_painted(object);
        *object = make_painted(mixed_size(&random), (unsigned)(size_t)number);
    }
    return NULL;
}

int main(void)
{
    pthread_t thread[AT_A_TIME];
    start_paged();
    for (size_t wave = 0; wave < WAVES; wave++) {
        for (size_t i = 0; i < AT_A_TIME; i++)
            CHECK(pthread_create(&thread[i], NULL, work, (void *)(wave * (AT_A_TIME + 3) + i)) == 0);
        for (size_t i = 0; i < AT_A_TIME; i++)
            CHECK(pthread_join(thread[i], NULL) == 0);
        check_budget_is_kept();
    }
    for (size_t i = 0; i < AT_A_TIME * EACH; i++)
        if (set[0][i].start)
            free_painted(&set[0][i]);
    return 0;
}
