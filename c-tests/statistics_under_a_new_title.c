/* expect: exit 0
   modes: link preload static
   under: GLEBE_STATS=json
   The file is found also by a program that writes its title over its initial environment. */
#include "check.h"
#include <sys/wait.h>

int main(void)
{
    char name[64], text[4096] = "";
    sprintf(name, "/tmp/glebe-statistics-%d", getpid());
    if (!getenv("GLEBE_STATS_FILE")) {
        setenv("GLEBE_STATS_FILE", name, 1);
        execl("/proc/self/exe", "statistics_under_a_new_title", NULL);
    }
    pid_t child = fork();
    if (child == 0) {
        for (char **variable = environ; *variable; variable++)
            memset(*variable, 'x', strlen(*variable));
        exit(0);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    FILE *file = fopen(name, "r");
    CHECK(file && fgets(text, sizeof text, file) && text[0] == '{');
    unlink(name);
    _exit(0);
}
