/* expect: exit 0
   modes: link preload static
   A thread ends while others hold its blocks: they stay whole, can be resized and freed by anyone,
   and their memory comes back. */
#include "check.h"
#include <pthread.h>

enum { COUNT = 200 };

static size_t size_of(int i) { return 20 + i * i * (i % 7 ? 1 : 9); }

static void *make(void *unused)
{
    (void)unused;
    void **block = malloc(COUNT * sizeof(void *));
    for (int i = 0; i < COUNT; i++) {
        block[i] = malloc(size_of(i));
        fill(block[i], size_of(i), i);
    }
    return block;
}

static void *use(void *blocks)
{
    void **block = blocks;
    for (int i = 0; i < COUNT; i++) {
        CHECK(holds(block[i], size_of(i), i));
        if (i % 3 == 0)
            block[i] = realloc(block[i], 2 * size_of(i));
        CHECK(holds(block[i], size_of(i), i));
        free(block[i]);
    }
    free(block);
    return NULL;
}

int main(void)
{
    size_t settled = 0;
    for (int round = 0; round < 150; round++) {
        pthread_t maker, user;
        void *blocks;
        if (round == 60)
            settled = resident_after_trim();
        CHECK(pthread_create(&maker, NULL, make, NULL) == 0);
        CHECK(pthread_join(maker, &blocks) == 0);
        if (round % 2) {
            use(blocks);
        } else {
            CHECK(pthread_create(&user, NULL, use, blocks) == 0);
            CHECK(pthread_join(user, NULL) == 0);
        }
    }
    CHECK(resident_after_trim() <= settled + 4 * MIB);
    return 0;
}
