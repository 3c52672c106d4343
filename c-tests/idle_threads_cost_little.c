/* expect: exit 0
   modes: preload
   1,000 idle threads that each allocated and freed one block of 20 size classes, beside 1,000 that
   never allocated: at most 64 KiB more each. */
#include "check.h"
#include <pthread.h>
#include <sys/wait.h>

enum { THREADS = 1000 };
static pthread_barrier_t all_idle;

static void *stay(void *allocates)
{
    if (allocates) {
        void *block[20];
        for (int i = 0; i < 20; i++) {
            size_t size = (size_t)16 << (i / 2);
            block[i] = malloc(i % 2 ? size + size / 2 : size);
            fill(block[i], size, i);
        }
        for (int i = 0; i < 20; i++)
            free(block[i]);
    }
    pthread_barrier_wait(&all_idle);
    pause();
    return NULL;
}

static size_t cost(void *allocates)
{
    int channel[2];
    size_t bytes = 0;
    CHECK(pipe(channel) == 0);
    pid_t child = fork();
    if (child == 0) {
        pthread_t thread;
        size_t before = resident_bytes();
        pthread_barrier_init(&all_idle, NULL, THREADS + 1);
        for (int i = 0; i < THREADS; i++)
            CHECK(pthread_create(&thread, NULL, stay, allocates) == 0);
        pthread_barrier_wait(&all_idle);
        bytes = resident_bytes() - before;
        _exit(write(channel[1], &bytes, sizeof bytes) != sizeof bytes);
    }
    close(channel[1]);
    CHECK(read(channel[0], &bytes, sizeof bytes) == sizeof bytes);
    CHECK(waitpid(child, NULL, 0) == child);
    return bytes;
}

int main(void)
{
    size_t silent = cost(NULL), allocating = cost(&all_idle);
    printf("%zu KiB and %zu KiB a thread\n", silent / THREADS / KIB, allocating / THREADS / KIB);
    CHECK(allocating <= silent + THREADS * 64 * KIB);
    return 0;
}
