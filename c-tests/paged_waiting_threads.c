/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_STORE=file
   Threads wait on futex words, mutexes, condition variables and semaphores whose pages go out while
   they wait; they are woken, and the words count right. */
#include "paged.h"
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

enum { THREADS = 8, ROUNDS = 4 };

/* A page of its own for each. */
struct Desk {
    _Atomic uint32_t word;
    pthread_mutex_t mutex;
    pthread_cond_t turned;
    sem_t go, done;
    int turn;
    unsigned char rest[3000];
};

static struct Desk *desk[THREADS];

static void *wait_and_answer(void *place)
{
    struct Desk *mine = place;
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        while (mine->word < 2 * round - 1)
            syscall(SYS_futex, &mine->word, FUTEX_WAIT_PRIVATE, 2 * round - 2, NULL, NULL, 0);
        mine->word = 2 * round;
        syscall(SYS_futex, &mine->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
        pthread_mutex_lock(&mine->mutex);
        while (mine->turn != (int)round)
            pthread_cond_wait(&mine->turned, &mine->mutex);
        pthread_mutex_unlock(&mine->mutex);
        CHECK(sem_post(&mine->done) == 0 && sem_wait(&mine->go) == 0);
    }
    return NULL;
}

int main(void)
{
    pthread_t thread[THREADS];
    start_paged();
    for (int i = 0; i < THREADS; i++) {
        CHECK((desk[i] = aligned_alloc(PAGE, PAGE)) && sizeof *desk[i] <= PAGE);
        *desk[i] = (struct Desk){.mutex = PTHREAD_MUTEX_INITIALIZER, .turned = PTHREAD_COND_INITIALIZER};
        CHECK(sem_init(&desk[i]->go, 0, 0) == 0 && sem_init(&desk[i]->done, 0, 0) == 0);
        paint(desk[i]->rest, sizeof desk[i]->rest, (unsigned)i);
        CHECK(pthread_create(&thread[i], NULL, wait_and_answer, desk[i]) == 0);
    }
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        push_out();
        for (int i = 0; i < THREADS; i++) {
            desk[i]->word = 2 * round - 1;
            syscall(SYS_futex, &desk[i]->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
            while (desk[i]->word != 2 * round)
                syscall(SYS_futex, &desk[i]->word, FUTEX_WAIT_PRIVATE, 2 * round - 1, NULL, NULL, 0);
        }
        push_out();
        for (int i = 0; i < THREADS; i++) {
            pthread_mutex_lock(&desk[i]->mutex);
            desk[i]->turn = (int)round;
            pthread_cond_signal(&desk[i]->turned);
            pthread_mutex_unlock(&desk[i]->mutex);
        }
        for (int i = 0; i < THREADS; i++)
            CHECK(sem_wait(&desk[i]->done) == 0 && sem_post(&desk[i]->go) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(thread[i], NULL) == 0);
        CHECK(painted(desk[i]->rest, sizeof desk[i]->rest, (unsigned)i));
    }
    return 0;
}
