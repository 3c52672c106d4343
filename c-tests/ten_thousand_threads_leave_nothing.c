/* expect: exit 0
   modes: preload
   under: nothing
   under: GLEBE_HARDENED=1
   Each thread uses many classes, frees a block of the main thread and leaves one behind. */
#include "check.h"
#include <pthread.h>

enum { AT_ONCE = 20, THREADS = 10000 };

static void *work(void *from_main)
{
    void *block[40];
    for (int i = 0; i < 40; i++) {
        block[i] = malloc((size_t)8 << (i % 15));
        fill(block[i], 8, i);
    }
    free(from_main);
    for (int i = 1; i < 40; i++)
        free(block[i]);
    return block[0];
}

int main(void)
{
    pthread_t thread[AT_ONCE];
    size_t settled = 0;
    for (int done = 0; done < THREADS; done += AT_ONCE) {
        if (done == THREADS / 5)
            settled = resident_after_trim();
        for (int i = 0; i < AT_ONCE; i++)
            CHECK(pthread_create(&thread[i], NULL, work, malloc(100 * (i + 1))) == 0);
        for (int i = 0; i < AT_ONCE; i++) {
            void *left = NULL;
            pthread_join(thread[i], &left);
            CHECK(left != NULL);
            free(left);
        }
    }
    CHECK(resident_after_trim() <= settled + 2 * MIB);
    return 0;
}
