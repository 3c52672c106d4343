/*
 * `start ROUNDS LIBRARY... -- PROGRAM ARGUMENTS...`: in each round runs the program once with each
 * library in turn as LD_PRELOAD ("-": none). Writes for each library a line: the minimum and the
 * median of microseconds from spawn to end, and the median of the peak resident KiB.
 *
 * Linked statically: a child's peak begins with that of the process that spawned it, so this one
 * must be smaller than any child.
 */
#define _GNU_SOURCE
#include "clock.h"
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_ROUNDS = 10000, MOST_LIBRARIES = 16, MOST_VARIABLES = 512 };

static double times[MOST_LIBRARIES][MOST_ROUNDS], peaks[MOST_LIBRARIES][MOST_ROUNDS];
static char *environment[MOST_VARIABLES + 2], preload[4096];

int main(int count, char **arguments) {
    int rounds = count > 1 ? atoi(arguments[1]) : 0, libraries = 0;
    if (rounds < 1 || rounds > MOST_ROUNDS) return 2;
    while (2 + libraries < count && strcmp(arguments[2 + libraries], "--")) libraries++;
    char **program = arguments + 2 + libraries + 1;
    if (libraries > MOST_LIBRARIES || program >= arguments + count) return 2;

    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    int variables = 0;
    for (char **variable = environ; *variable && variables < MOST_VARIABLES; variable++)
        if (strncmp(*variable, "LD_PRELOAD=", 11)) environment[variables++] = *variable;

    for (int round = 0; round < rounds; round++)
        for (int library = 0; library < libraries; library++) {
            char *path = arguments[2 + library];
            snprintf(preload, sizeof preload, "LD_PRELOAD=%s", path);
            environment[variables] = strcmp(path, "-") ? preload : NULL;
            pid_t child;
            int status;
            struct rusage usage;
            double start = now();
            if (posix_spawnp(&child, *program, &quiet, NULL, program, environment)) return 3;
            if (wait4(child, &status, 0, &usage) != child) return 3;
            times[library][round] = (now() - start) / 1e3;
            peaks[library][round] = usage.ru_maxrss;
            if (status) {
                fprintf(stderr, "%s: %s ended with %d\n", path, *program, status);
                return 4;
            }
        }
    for (int library = 0; library < libraries; library++) {
        qsort(peaks[library], rounds, sizeof(double), ascending);
        qsort(times[library], rounds, sizeof(double), ascending);
        printf("%.3f %.3f %.0f\n", times[library][0], times[library][rounds / 2],
               peaks[library][rounds / 2]);
    }
    return 0;
}
