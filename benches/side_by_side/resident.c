/*
 * `resident PROGRAM ARGUMENTS...`: writes the KiB resident at the moment the program ends, exactly.
 * (The kernel's own account of the peak is kept per processor and up to 128 KiB off for each kind
 * of page, too much to judge a program that uses one MiB.)
 *
 * Linked statically, so that the environment can be the program's.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static long resident_kib(pid_t process) {
    char path[64], line[256];
    long kib = -1;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", process);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, "Rss:", 4)) kib = atol(line + 4);
    if (file) fclose(file);
    return kib;
}

int main(int count, char **arguments) {
    if (count < 2) return 2;
    pid_t program = fork();
    if (program == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
        execvp(arguments[1], arguments + 1);
        _exit(127);
    }
    int status, started = 0;
    while (waitpid(program, &status, 0) == program && WIFSTOPPED(status)) {
        int passed_on = WSTOPSIG(status);
        if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8)) {
            printf("%ld\n", resident_kib(program));
            passed_on = 0;
        } else if (!started && passed_on == SIGTRAP) {
            ptrace(PTRACE_SETOPTIONS, program, NULL, PTRACE_O_TRACEEXIT);
            started = 1;
            passed_on = 0;
        }
        ptrace(PTRACE_CONT, program, NULL, passed_on);
    }
    return status != 0;
}
