/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_STORE=file
   vfork with exec, posix_spawn, system and popen while the heap is out, with arguments and
   environment that are out; the memory that is shared until the exec stays whole. */
#include "paged.h"
#include <spawn.h>

extern char **environ;

static struct Painted set[100000];

int main(void)
{
    uint64_t random = 44;
    pid_t child;
    start_paged();
    char **argument = calloc(4, sizeof *argument);
    argument[0] = strdup("sh");
    argument[1] = strdup("-c");
    argument[2] = malloc(100 * KIB);
    memset(argument[2], ' ', 100 * KIB);
    strcpy(argument[2] + 99 * KIB, "test \"$OUT\" = right && exit 7");
    CHECK(setenv("OUT", "right", 1) == 0 && unsetenv("LD_PRELOAD") == 0);
    size_t count = make_set(set, 100000, budgets(2), &random, 1);
    for (int round = 0; round < 10; round++) {
        push_out();
        if ((child = vfork()) == 0) {
            execv("/bin/sh", argument);
            _exit(1);
        }
        CHECK(status_of(child) == 7);
        CHECK(posix_spawn(&child, "/bin/sh", NULL, NULL, argument, environ) == 0 && status_of(child) == 7);
        CHECK(system("exit 3") == 3 << 8);
        FILE *pipe = popen("echo word", "r");
        char text[10];
        CHECK(pipe && fgets(text, sizeof text, pipe) && strcmp(text, "word\n") == 0 && pclose(pipe) == 0);
        for (int i = 0; i < 500; i++)
            check_painted(&set[next_random(&random) % count]);
        if (budget() == 0)
            break;
    }
    for (size_t i = 0; i < count; i++)
        free_painted(&set[i]);
    check_budget_is_kept();
    return 0;
}
