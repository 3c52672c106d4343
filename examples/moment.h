/* A moment at which to look at the program from outside: with STOP in the
 * environment it stops there, until a SIGCONT. */
#ifndef MOMENT_H
#define MOMENT_H

#include <signal.h>
#include <stdlib.h>

static inline void moment(void)
{
    if (getenv("STOP"))
        raise(SIGSTOP);
}

#endif
