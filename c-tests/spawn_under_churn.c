/* expect: exit 0
   modes: link preload
   vfork, posix_spawn, system and popen while other threads allocate. */
#include "churn.h"
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

int main(void)
{
    pthread_t thread[4];
    churn_start(thread, 4);
    for (int i = 0; i < 60; i++) {
        char *arguments[] = {"true", NULL};
        int status;
        pid_t child = vfork();
        if (child == 0) {
            execv("/bin/true", arguments);
            _exit(1);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
        CHECK(posix_spawnp(&child, "true", NULL, NULL, arguments, environ) == 0);
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    for (int i = 0; i < 10; i++) {
        char text[16] = "";
        FILE *pipe = popen("echo sum", "r");
        CHECK(pipe && fgets(text, sizeof text, pipe) && strcmp(text, "sum\n") == 0);
        CHECK(pclose(pipe) == 0 && system("true") == 0);
    }
    churn_end(thread, 4);
    return 0;
}
