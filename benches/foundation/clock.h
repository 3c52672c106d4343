/* Time and pseudo-random numbers for the workloads. */
#ifndef FOUNDATION_CLOCK_H
#define FOUNDATION_CLOCK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Nanoseconds since some moment. */
static inline double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

static inline uint32_t draw(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    return *state ^= *state << 5;
}

static inline int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Writes "MIN MEDIAN" of `count` figures. */
static inline void report(double *figures, int count) {
    qsort(figures, count, sizeof *figures, ascending);
    printf("%.3f %.3f\n", figures[0], figures[count / 2]);
}

#endif
