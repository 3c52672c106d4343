/* expect: abort "fatal: double free: ptr=0x"
   modes: link preload static */
#include "check.h"
#include <pthread.h>

static void *free_again(void *block)
{
    free(block);
    return NULL;
}

int main(void)
{
    pthread_t thread;
    void *block = malloc(200 * KIB);
    free(block);
    CHECK(pthread_create(&thread, NULL, free_again, block) == 0);
    pthread_join(thread, NULL);
    return 0;
}
