/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_STORE=file
   under: GLEBE_BUDGET=32M GLEBE_STORE=both
   under: GLEBE_BUDGET=32M GLEBE_SOURCE=mmap
   Four threads do at random all that can be done with blocks, over four budgets of them, and check
   the contents each time. SEED and STEPS (of each thread) are settings. */
#include "paged.h"
#include <pthread.h>
#include <unistd.h>

enum { THREADS = 4, SLOTS = 20000 };

static struct Slot {
    pthread_mutex_t mutex;
    struct Painted object;
} slot[SLOTS];

static _Atomic size_t live;
static size_t seed, steps, most;

static void set_object(struct Slot *at, void *start, size_t size)
{
    CHECK(start != NULL);
    at->object = (struct Painted){start, size, mixed((uintptr_t)start + size)};
    live += size;
}

static void drop(struct Slot *at)
{
    live -= at->object.size;
    free_painted(&at->object);
}

static void resize(struct Slot *at, size_t size)
{
    struct Painted object = at->object;
    size_t kept = (size < object.size ? size : object.size) & ~(size_t)7;
    live -= object.size;
    void *start = realloc(object.start, size);
    CHECK(start && painted(start, kept, object.seed));
    at->object = (struct Painted){start, size, object.seed};
    paint_part(start, kept, size - kept, object.seed);
    live += size;
}

static void make(struct Slot *at, uint64_t *random)
{
    size_t size = mixed_size(random);
    switch (next_random(random) % 8) {
    case 0:
        set_object(at, calloc(1, size), size);
        CHECK(holds(at->object.start, size, 0));
        break;
    case 1: {
        size_t alignment = (size_t)16 << next_random(random) % 13;
        set_object(at, memalign(alignment, size), size);
        CHECK((uintptr_t)at->object.start % alignment == 0);
        break;
    }
    case 2:
        if (next_random(random) % 64 == 0)
            size = size * 4 + 2 * MIB;
        /* fall through */
    default:
        set_object(at, malloc(size), size);
    }
    paint(at->object.start, at->object.size, at->object.seed);
}

static void *work(void *number)
{
    uint64_t random = mixed(seed + (size_t)number) | 1;
    for (size_t step = 0; step < steps; step++) {
        struct Slot *at = &slot[next_random(&random) % SLOTS];
        pthread_mutex_lock(&at->mutex);
        if (at->object.start == NULL)
            make(at, &random);
        else if (live > most || next_random(&random) % 4 == 0)
            drop(at);
        else if (next_random(&random) % 3 == 0)
            resize(at, mixed_size(&random));
        else {
            check_painted(&at->object);
            at->object.seed = next_random(&random);
            paint(at->object.start, at->object.size, at->object.seed);
        }
        pthread_mutex_unlock(&at->mutex);
        if (next_random(&random) % 20000 == 0)
            malloc_trim(0);
        if (step % 2000 == 0)
            check_budget_is_kept();
    }
    return NULL;
}

int main(void)
{
    pthread_t thread[THREADS];
    start_paged();
    seed = setting("SEED", (size_t)getpid());
    steps = setting("STEPS", 20000);
    most = budgets(4);
    dprintf(2, "SEED=%zu\n", seed);
    for (size_t i = 0; i < SLOTS; i++)
        pthread_mutex_init(&slot[i].mutex, NULL);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&thread[i], NULL, work, (void *)i) == 0);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_join(thread[i], NULL) == 0);
    for (size_t i = 0; i < SLOTS; i++)
        if (slot[i].object.start)
            drop(&slot[i]);
    CHECK(live == 0);
    check_budget_is_kept();
    return 0;
}
