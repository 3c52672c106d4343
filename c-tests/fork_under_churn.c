/* expect: exit 0
   modes: preload
   under: nothing
   under: GLEBE_HARDENED=1
   Each child of a program with 8 churning threads allocates every class and frees the parent's
   blocks, whatever the threads were doing at the fork. Ten thousand of them by the library that is
   shipped; a quarter by the checked one, which takes its time. */
#include "churn.h"
#include <sys/wait.h>

enum { AT_ONCE = 8 };

int main(void)
{
    pthread_t thread[8];
    const char *profile = getenv("PROFILE");
    int forks = profile && strcmp(profile, "Checked") == 0 ? 2500 : 10000;
    churn_start(thread, 8);
    for (int i = 0; i < forks; i++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            churn_in_child(60);
            _exit(0);
        }
        CHECK(child > 0);
        if (i >= AT_ONCE)
            CHECK(waitpid(-1, &status, 0) > 0 && status == 0);
    }
    for (int status; wait(&status) > 0;)
        CHECK(status == 0);
    churn_end(thread, 8);
    return 0;
}
