/*
 * `server THREADS`: a server's life as Larson described it. Each thread holds 1000 sessions,
 * blocks of 16 to 1015 bytes, and answers requests, each of which ends one session and begins
 * another. After 20000 requests a thread hands its sessions to a new thread and ends. Writes the
 * minimum and the median of nanoseconds of wall time per request.
 */
#include "clock.h"
#include <pthread.h>

enum { REPEATS = 9, MOST = 64, SESSIONS = 1000, REQUESTS = 20000, GENERATIONS = 12 };

typedef struct {
    char *sessions[SESSIONS];
    uint32_t state;
    int generation;
    pthread_mutex_t lock;
    pthread_cond_t done;
} Desk;
static Desk desks[MOST];

static char *begin(Desk *desk) {
    size_t size = 16 + draw(&desk->state) % 1000;
    char *session = malloc(size);
    session[0] = session[size - 1] = 1;
    return session;
}

static void hand_over(Desk *desk);

static void *serve(void *argument) {
    Desk *desk = argument;
    for (int i = 0; i < REQUESTS; i++) {
        char **session = &desk->sessions[draw(&desk->state) % SESSIONS];
        free(*session);
        *session = begin(desk);
    }
    hand_over(desk);
    return NULL;
}

static void hand_over(Desk *desk) {
    pthread_mutex_lock(&desk->lock);
    if (++desk->generation < GENERATIONS) {
        pthread_t heir;
        pthread_create(&heir, NULL, serve, desk);
        pthread_detach(heir);
    } else {
        pthread_cond_signal(&desk->done);
    }
    pthread_mutex_unlock(&desk->lock);
}

int main(int count, char **arguments) {
    int threads = count == 2 ? atoi(arguments[1]) : 0;
    if (threads < 1 || threads > MOST) return 2;
    for (int i = 0; i < threads; i++) {
        desks[i].state = 521288629 + i;
        pthread_mutex_init(&desks[i].lock, NULL);
        pthread_cond_init(&desks[i].done, NULL);
        for (int s = 0; s < SESSIONS; s++) desks[i].sessions[s] = begin(&desks[i]);
    }
    double figures[REPEATS];
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double start = now();
        for (int i = 0; i < threads; i++) {
            desks[i].generation = -1;
            hand_over(&desks[i]);
        }
        for (int i = 0; i < threads; i++) {
            pthread_mutex_lock(&desks[i].lock);
            while (desks[i].generation < GENERATIONS)
                pthread_cond_wait(&desks[i].done, &desks[i].lock);
            pthread_mutex_unlock(&desks[i].lock);
        }
        figures[repeat] = (now() - start) / ((double)threads * REQUESTS * GENERATIONS);
    }
    report(figures, REPEATS);
    return 0;
}
