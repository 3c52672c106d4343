/* expect: exit 0
   modes: link
   Twelve generations, each forked under churn: every one may abandon at most 1 MiB and what the
   other threads had cached, which is less than the heap of the first. What is free is not abandoned:
   neither dirty spans nor the rest of the chunk that the heap grew by last. */
#include "churn.h"
#include "glebe.h"
#include <sys/wait.h>

enum { GENERATIONS = 12, CHUNK = 4 * MIB };

static size_t heap_bytes(size_t generation)
{
    glebe_statistics now = {.struct_size = sizeof now};
    CHECK(glebe_get_statistics(&now) == 0 && now.fork_generation <= generation);
    return now.heap_bytes - now.free_dirty_bytes;
}

int main(void)
{
    size_t first = 0;
    for (size_t generation = 0; generation < GENERATIONS; generation++) {
        pthread_t thread[4];
        uint64_t random = 3 + generation;
        churn_warm = 0;
        churn_start(thread, 4);
        while (churn_warm < 4)
            churn_step(&random, 40 * KIB);
        if (generation == 0) {
            /* Until it has the size that it keeps. */
            for (int i = 0; i < 20000; i++)
                churn_step(&random, 40 * KIB);
            first = heap_bytes(generation);
        }
        CHECK(heap_bytes(generation) <= first + generation * (MIB + first) + CHUNK);
        pid_t child = fork();
        if (child > 0) {
            int status;
            churn_end(thread, 4);
            CHECK(waitpid(child, &status, 0) == child && status == 0);
            return 0;
        }
        churn_in_child(100);
    }
    return 0;
}
