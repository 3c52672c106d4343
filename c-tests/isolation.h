/* What the programs about isolation share: two processes that take turns. */
#ifndef ISOLATION_H
#define ISOLATION_H

#include "check.h"
#include "glebe.h"
#include <sys/wait.h>

/* One end of a conversation of two processes. */
struct turns {
    int says, hears;
};

static inline void open_turns(struct turns *mine, struct turns *theirs)
{
    int there[2], back[2];
    CHECK(pipe(there) == 0 && pipe(back) == 0);
    *mine = (struct turns){there[1], back[0]};
    *theirs = (struct turns){back[1], there[0]};
}

/* It is the other's turn. */
static inline void pass(const struct turns *turns)
{
    CHECK(write(turns->says, "x", 1) == 1);
}

/* Waits for one's own. */
static inline void await(const struct turns *turns)
{
    char token;
    CHECK(read(turns->hears, &token, 1) == 1);
}

static inline void ends_well(pid_t child)
{
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#endif
