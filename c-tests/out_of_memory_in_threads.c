/* expect: exit 0
   modes: link preload
   under: confine as=1G
   under: GLEBE_HARDENED=1
   Four threads at the limit together, each freeing half when it is refused: nobody starves. */
#include "check.h"
#include <pthread.h>

static void *work(void *seed)
{
    enum { COUNT = 4000 };
    static _Thread_local void *block[COUNT];
    uint64_t random = 13 + (uintptr_t)seed;
    int refused = 0;
    for (int i = 0; i < 60000; i++) {
        int at = next_random(&random) % COUNT;
        free(block[at]);
        errno = 0;
        block[at] = malloc(next_random(&random) % (256 * KIB));
        if (block[at])
            continue;
        CHECK(errno == ENOMEM);
        refused++;
        for (int j = 0; j < COUNT; j += 2) {
            free(block[j]);
            block[j] = NULL;
        }
    }
    for (int i = 0; i < COUNT; i++)
        free(block[i]);
    CHECK(refused < 30000);
    return NULL;
}

int main(void)
{
    pthread_t thread[4];
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_create(&thread[i], NULL, work, (void *)i) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    void *block = malloc(100 * MIB);
    CHECK(block != NULL);
    return 0;
}
