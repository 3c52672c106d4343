/* expect: exit 0
   modes: link preload static
   under: GLEBE_STATS=json
   Appended in one write by the process and its forked children. */
#include "check.h"
#include <sys/wait.h>

int main(void)
{
    char name[64], text[4096] = "";
    sprintf(name, "/tmp/glebe-statistics-%d", getpid());
    if (!getenv("GLEBE_STATS_FILE")) {
        setenv("GLEBE_STATS_FILE", name, 1);
        execl("/proc/self/exe", "statistics_in_a_file", NULL);
    }
    pid_t child = fork();
    if (child == 0)
        exit(0);
    CHECK(waitpid(child, NULL, 0) == child);
    FILE *file = fopen(name, "r");
    CHECK(file && fgets(text, sizeof text, file));
    CHECK(text[0] == '{' && strstr(text, "\"live_bytes\"") && strcmp(text + strlen(text) - 2, "}\n") == 0);
    sprintf(name, "\"pid\":%d", child);
    CHECK(strstr(text, name) != NULL);
    unlink(getenv("GLEBE_STATS_FILE"));
    _exit(0);
}
