/* expect: exit 0 "warning: " "GLEBE_BUDGET"
   modes: preload
   under: GLEBE_BUDGET=nonsense
   under: GLEBE_BUDGET=-1
   under: GLEBE_BUDGET=32Q
   under: GLEBE_BUDGET=101%
   under: GLEBE_BUDGET=99999999999999999999G
   Also in programs with forks and threads there is one line, and the heap is as without a budget. */
#include "check.h"
#include <sys/wait.h>

int main(void)
{
    for (int i = 0; i < 100; i++) {
        unsigned char *block = malloc(MIB);
        CHECK(block != NULL);
        fill(block, MIB, i);
    }
    pid_t child = fork();
    if (child == 0)
        exit(malloc(100) ? 0 : 1);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return 0;
}
