/* expect: exit 0
   modes: link preload static
   under: nothing
   under: GLEBE_HARDENED=1
   Destructors of thread-specific data allocate and free in all four rounds, after any cache of the
   thread has been given back; nothing leaks. */
#include "check.h"
#include <pthread.h>

enum { KEYS = 40 };
static pthread_key_t key[KEYS];

struct Value {
    int index, round;
    char rest[200];
};

static void destroy(void *data)
{
    struct Value *old = data;
    void *large = malloc(3 * MIB), *medium = calloc(1, 50 * KIB);
    CHECK(large && medium && holds(old->rest, sizeof old->rest, old->index));
    if (old->round < 4) {
        struct Value *new = malloc(sizeof *new + 500 * old->round);
        *new = (struct Value){old->index, old->round + 1, ""};
        fill(new->rest, sizeof new->rest, new->index);
        CHECK(pthread_setspecific(key[old->index], new) == 0);
    }
    free(old);
    free(medium);
    free(large);
}

static void *work(void *block)
{
    for (int i = 0; i < KEYS; i++) {
        struct Value *value = malloc(sizeof *value);
        *value = (struct Value){i, 1, ""};
        fill(value->rest, sizeof value->rest, i);
        CHECK(pthread_setspecific(key[i], value) == 0);
    }
    free(block);
    return NULL;
}

int main(void)
{
    size_t settled = 0;
    for (int i = 0; i < KEYS; i++)
        CHECK(pthread_key_create(&key[i], destroy) == 0);
    for (int round = 0; round < 500; round++) {
        pthread_t thread[2];
        if (round == 100)
            settled = resident_after_trim();
        for (int i = 0; i < 2; i++)
            CHECK(pthread_create(&thread[i], NULL, work, malloc(1000)) == 0);
        for (int i = 0; i < 2; i++)
            pthread_join(thread[i], NULL);
    }
    CHECK(resident_after_trim() <= settled + 2 * MIB);
    return 0;
}
