/* expect: abort "fatal: double free: ptr=0x"
   modes: link preload static */
#include "check.h"
#include <pthread.h>

static pthread_barrier_t freed_once;

static void *free_again(void *block)
{
    pthread_barrier_wait(&freed_once);
    free(block);
    return NULL;
}

int main(void)
{
    pthread_t thread;
    void *block = malloc(200 * KIB);
    pthread_barrier_init(&freed_once, NULL, 2);
    CHECK(pthread_create(&thread, NULL, free_again, block) == 0);
    free(block);
    pthread_barrier_wait(&freed_once);
    pthread_join(thread, NULL);
    return 0;
}
