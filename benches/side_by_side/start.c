/*
 * `start REPORT SECONDS PROGRAM ARGUMENTS...`: runs the program, kills it when the seconds are over,
 * and writes one line to the file REPORT: nanoseconds of wall time, microseconds of CPU time, peak
 * resident KiB, minor page faults, wait status.
 *
 * Linked statically: the loader preloads nothing into it, so the environment can be the program's;
 * and a child's peak begins with that of the process that spawned it, so this one must be smaller
 * than any program.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t program;

static void kill_program(int signal) {
    (void)signal;
    if (program) kill(program, SIGKILL);
}

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static long long microseconds(struct timeval time) { return time.tv_sec * 1000000LL + time.tv_usec; }

int main(int count, char **arguments) {
    if (count < 4) return 2;
    FILE *report = fopen(arguments[1], "we");
    if (!report) return 2;
    signal(SIGALRM, kill_program);

    int status;
    struct rusage usage;
    long long begin = now();
    if (posix_spawnp(&program, arguments[3], NULL, NULL, arguments + 3, environ)) return 3;
    alarm(atoi(arguments[2]));
    while (wait4(program, &status, 0, &usage) != program) continue;
    long long end = now();

    fprintf(report, "%lld %lld %ld %ld %d\n", end - begin,
            microseconds(usage.ru_utime) + microseconds(usage.ru_stime), usage.ru_maxrss,
            usage.ru_minflt, status);
    return fclose(report) != 0;
}
