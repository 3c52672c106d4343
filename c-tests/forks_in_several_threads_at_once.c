/* expect: exit 0
   modes: preload
   under: nothing
   under: GLEBE_HARDENED=1
   Four threads fork and allocate at the same time; children fork again. */
#include "churn.h"
#include <sys/wait.h>

static void fork_once(int depth)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        churn_in_child(60);
        if (depth > 0)
            fork_once(depth - 1);
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

static void *work(void *seed)
{
    uint64_t random = 31 + (uintptr_t)seed;
    for (int i = 0; i < 100; i++) {
        for (int j = 0; j < 50; j++)
            churn_step(&random, 40 * KIB);
        fork_once(i % 3);
    }
    return NULL;
}

int main(void)
{
    pthread_t thread[4];
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_create(&thread[i], NULL, work, (void *)i) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(thread[i], NULL) == 0);
    return 0;
}
