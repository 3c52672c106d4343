/* What the programs share that handle SIGSEGV and SIGBUS themselves. */
#ifndef FAULTS_H
#define FAULTS_H

#include "check.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* When a program allocates so much that the allocator has set up what it ever will. */
enum moment { AT_FIRST, AFTER_THE_HANDLER, NEVER, MOMENTS };
static enum moment chosen_moment;

static inline void moment(enum moment now)
{
    if (now != chosen_moment)
        return;
    free(malloc(100 * MIB));
    for (size_t i = 0; i < 20000; i++)
        free(malloc(i % 3000));
}

/* Runs `test` in a child for each moment; each must end by `signal`, or exit with 0 for 0. */
static inline void at_each_moment(void (*test)(void), int signal)
{
    for (int at = 0; at < MOMENTS; at++) {
        int status;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            chosen_moment = (enum moment)at;
            alarm(60);
            moment(AT_FIRST);
            test();
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child);
        if (signal ? !WIFSIGNALED(status) || WTERMSIG(status) != signal : status != 0)
            dprintf(2, "moment %d: status %#x\n", at, status), _exit(1);
    }
}

/* A page that cannot be accessed. */
static inline char *closed_page(void)
{
    char *page = (char *)mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    return page;
}

static inline void open_page(char *page)
{
    CHECK(mprotect(page, 4096, PROT_READ | PROT_WRITE) == 0);
}

static inline void write_to(char *page)
{
    *(volatile char *)page = 1;
}

static inline int is_blocked(int signal)
{
    sigset_t mask;
    CHECK(sigprocmask(SIG_BLOCK, NULL, &mask) == 0);
    return sigismember(&mask, signal);
}

#endif
