/* expect: exit 0
   modes: link static
   A block freed by another thread is already free for everybody: while it waits for its owner,
   while it waits in a cache of the thread that freed it, and after either thread has ended. */
#include "check.h"
#include "glebe.h"
#include <pthread.h>

enum { COUNT = 300 };
static const size_t sizes[] = {16, 200, 4000, 50 * KIB, 2 * MIB};
static void *block[5][COUNT];
static int counts[] = {COUNT, COUNT, COUNT, 50, 10};

static void expect_all(glebe_free_status status)
{
    for (int s = 0; s < 5; s++)
        for (int i = 0; i < counts[s]; i++)
            CHECK(glebe_free_checked(block[s][i]) == status);
}

static void *free_all(void *unused)
{
    expect_all(GLEBE_FREE_SUCCESS);
    expect_all(GLEBE_FREE_ALREADY_FREE);
    return unused;
}

static void *allocate_all(void *unused)
{
    for (int s = 0; s < 5; s++)
        for (int i = 0; i < counts[s]; i++)
            block[s][i] = malloc(sizes[s]);
    return unused;
}

static void on_a_thread(void *(*work)(void *))
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, work, NULL) == 0 && pthread_join(thread, NULL) == 0);
}

int main(void)
{
    for (int round = 0; round < 20; round++) {
        allocate_all(NULL);
        on_a_thread(free_all);
        expect_all(GLEBE_FREE_ALREADY_FREE);
        on_a_thread(allocate_all);
        on_a_thread(free_all);
        expect_all(GLEBE_FREE_ALREADY_FREE);
        on_a_thread(allocate_all);
        free_all(NULL);
        expect_all(GLEBE_FREE_ALREADY_FREE);
    }
    return 0;
}
