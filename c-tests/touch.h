/* Whether a byte can be read or written, for programs about protected pages. */
#ifndef TOUCH_H
#define TOUCH_H

#include <setjmp.h>
#include <signal.h>

static sigjmp_buf touch_failed;

/* The handler of SIGSEGV: a fault ends the touch, not the program. */
static void leave_touch(int signal)
{
    (void)signal;
    siglongjmp(touch_failed, 1);
}

static int can_read(volatile char *at)
{
    if (sigsetjmp(touch_failed, 1))
        return 0;
    (void)*at;
    return 1;
}

static int can_write(volatile char *at)
{
    if (sigsetjmp(touch_failed, 1))
        return 0;
    *at = *at;
    return 1;
}

#endif
