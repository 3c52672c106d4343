/* Runs a misuse in a child process and reads what is said of it. */
#ifndef REPORTED_H
#define REPORTED_H

#include "check.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

typedef struct report {
    char text[64 * 1024];
    int status;             /* as waitpid tells it */
    uintptr_t ptr, block;   /* of the first line; 0 where it names none */
    long bytes, offset;
} report;

/* What the child tells beside its report: the block it misused. Shared with it. */
static void *volatile *misused;

static inline unsigned long long report_number(const char *line, const char *key)
{
    const char *at = strstr(line, key);
    return at && at < strchr(line, '\n') ? strtoull(at + strlen(key), NULL, 0) : 0;
}

static inline report report_of(void (*misuse)(void))
{
    static report report;
    size_t length = 0;
    int ends[2];
    if (!misused)
        misused = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        dup2(ends[1], 2);
        misuse();
        _exit(0);
    }
    close(ends[1]);
    for (ssize_t n; (n = read(ends[0], report.text + length, sizeof report.text - 1 - length)) > 0;)
        length += (size_t)n;
    report.text[length] = 0;
    close(ends[0]);
    CHECK(waitpid(child, &report.status, 0) == child);
    report.ptr = report_number(report.text, "ptr=");
    report.block = report_number(report.text, " block=");
    report.bytes = (long)report_number(report.text, " bytes=");
    report.offset = (long)report_number(report.text, " offset=");
    return report;
}

/* How many frames of this program's own file stand in the stack under `title`. */
static inline int frames_of_ours(const char *text, const char *title)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 2);
    CHECK(length > 0);
    memcpy(path + length, "+", 2);
    const char *at = strstr(text, title);
    int found = 0;
    if (!at)
        return 0;
    for (at = strchr(at, '\n') + 1; strncmp(at, "    #", 5) == 0; at = strchr(at, '\n') + 1) {
        const char *end = strchr(at, '\n'), *ours = strstr(at, path);
        found += ours && ours < end;
    }
    return found;
}

#endif
