/* What the misuse programs share. Each does one thing wrong, goes on for a while, and exits with 0:
   nobody noticed. Exit status 3 means: malloc returned an address that the program had forged.

   The pointers are volatile so that a compiler keeps every access. */
#ifndef MISUSE_H
#define MISUSE_H

#include "../check.h"
#include <pthread.h>

/* A guarded block stands against the guard page behind it or the one before it, by chance. A
   program for which that decides does its misuse on so many blocks in turn. */
#define TURNS 24

#define NEIGHBOURS 400

static char *volatile block __attribute__((unused));
static volatile char byte __attribute__((unused));
static char *volatile neighbours[NEIGHBOURS] __attribute__((unused));

/* C23; a C library or an allocator need not have them, and free is then all that is left. */
#ifdef __cplusplus
extern "C" {
#endif
extern void free_sized(void *, size_t) __attribute__((weak));
extern void free_aligned_sized(void *, size_t, size_t) __attribute__((weak));
#ifdef __cplusplus
}
#endif

static inline void release_sized(void *freed, size_t size)
{
    free_sized ? free_sized(freed, size) : free(freed);
}

static inline void release_aligned_sized(void *freed, size_t alignment, size_t size)
{
    free_aligned_sized ? free_aligned_sized(freed, alignment, size) : free(freed);
}

static inline char *allocate(size_t size)
{
    char *allocated = (char *)malloc(size);
    CHECK(allocated != NULL);
    return allocated;
}

/* So many that there are slabs of nothing else. */
static inline void allocate_neighbours(size_t size)
{
    for (int i = 0; i < NEIGHBOURS; i++)
        neighbours[i] = allocate(size);
}

static inline void free_neighbours(void)
{
    for (int i = 0; i < NEIGHBOURS; i++)
        free(neighbours[i]);
}

/* Runs `work` in another thread, to its end. */
static inline void elsewhere(void *(*work)(void *))
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, work, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* Goes on as programs do, with blocks of `size`, so that a check at the reuse of a block comes to
   every block: returns the exit status. */
static inline int go_on(size_t size)
{
    static char *kept[1024];
    size_t count = size <= 32 * KIB ? 1024 : size <= 2 * MIB ? 16 : 4;
    for (size_t i = 0; i < 40 * count; i++) {
        free(kept[i % count]);
        kept[i % count] = allocate(size);
    }
    for (size_t i = 0; i < count; i++)
        free(kept[i]);
    return 0;
}

/* The same, where `forged` was written over a free block: whether malloc hands it out. */
static inline int go_on_until_issued(size_t size, const void *forged)
{
    static char *kept[1024];
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < 1024; i++) {
            kept[i] = allocate(size);
            if (kept[i] == forged)
                _exit(3);
        }
        for (int i = 0; i < 1024; i++)
            free(kept[i]);
    }
    return 0;
}

#endif
