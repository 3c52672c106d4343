/* expect: exit 0
   modes: preload
   under: GLEBE_HARDENED=1
   under: GLEBE_HARDENED=1 GLEBE_GUARD=mprotect
   Threads allocate and free guarded blocks while others fork: each child goes on, and no block is
   issued twice. */
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

enum { THREADS = 4, FORKS = 500, AT_HAND = 16 };

static atomic_int stop;

static void churn(unsigned seed, int rounds)
{
    struct {
        char *at;
        size_t size;
    } block[AT_HAND] = {0};
    for (int i = 0; i < rounds && !stop; i++) {
        seed = seed * 1103515245 + 12345;
        int which = seed / 65536 % AT_HAND;
        size_t size = 33000 + seed / 256 % 200000;
        if (block[which].at) {
            CHECK(block[which].at[0] == (char)which && block[which].at[block[which].size - 1] == 1);
            free(block[which].at);
        }
        char *next = malloc(size);
        CHECK(next && next[0] == 0 && next[size - 1] == 0);
        next[0] = (char)which;
        next[size - 1] = 1;
        block[which].at = next;
        block[which].size = size;
    }
    for (int i = 0; i < AT_HAND; i++)
        free(block[i].at);
}

static void *churn_on(void *seed)
{
    while (!stop)
        churn((unsigned)(uintptr_t)seed, 1000);
    return NULL;
}

int main(void)
{
    pthread_t thread[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&thread[i], NULL, churn_on, (void *)i) == 0);
    for (int i = 0; i < FORKS; i++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            churn((unsigned)i, 100);
            _exit(0);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    }
    stop = 1;
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(thread[i], NULL) == 0);
    return 0;
}
