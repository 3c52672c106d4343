/* expect: exit 0
   modes: link
   A child after fork has a section of its own: neither sees the other's writes nor the other's end.
   Threads that move the end at once each get bytes of their own, and a fork meanwhile does no harm. */
#include "check.h"
#include "glebe.h"
#include <pthread.h>
#include <sys/wait.h>

enum { THREADS = 8, ROUNDS = 2000, FORKS = 100 };

static void *grow(void *seed)
{
    for (int i = 0; i < ROUNDS; i++) {
        size_t size = 16 + i % 300;
        char *bytes = glebe_sbrk((intptr_t)size);
        CHECK(bytes != (void *)-1 && bytes[0] == 0 && holds(bytes, size, 0));
        fill(bytes, size, (int)(intptr_t)seed);
        CHECK(holds(bytes, size, (int)(intptr_t)seed));
    }
    return NULL;
}

static void *breathe(void *unused)
{
    for (int i = 0; i < ROUNDS; i++) {
        char *bytes = glebe_sbrk(3 * 4096 + 100);
        CHECK(bytes != (void *)-1);
        fill(bytes, 3 * 4096 + 100, 0xff);
        CHECK(glebe_sbrk(-(3 * 4096 + 100)) == bytes + 3 * 4096 + 100);
    }
    return unused;
}

static void child_ends_well(pid_t child)
{
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    char *start = glebe_sbrk(10000);
    fill(start, 10000, 1);
    pid_t child = fork();
    if (child == 0) {
        CHECK(holds(start, 10000, 1));
        fill(start, 10000, 2);
        CHECK(glebe_sbrk(5000) == start + 10000 && glebe_brk(start + 20) == 0);
        CHECK(holds(start, 20, 2));
        _exit(0);
    }
    child_ends_well(child);
    CHECK(holds(start, 10000, 1) && glebe_sbrk(0) == start + 10000);

    pthread_t thread[THREADS];
    for (intptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&thread[i], NULL, grow, (void *)(i + 1)) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);

    CHECK(pthread_create(&thread[0], NULL, breathe, NULL) == 0);
    for (int i = 0; i < FORKS; i++) {
        child = fork();
        if (child == 0) {
            char *bytes = glebe_sbrk(5 * 4096);
            CHECK(bytes != (void *)-1 && holds(bytes, 5 * 4096, 0));
            fill(bytes, 5 * 4096, 4);
            CHECK(bytes[0] == 4);
            _exit(0);
        }
        child_ends_well(child);
    }
    pthread_join(thread[0], NULL);
    CHECK(holds(start, 10000, 1));
    return 0;
}
