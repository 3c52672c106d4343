/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_STORE=file
   A program that is executed, in the same process or a new one, has the same budget. With
   GLEBE_BUDGET_PID only the process of that number has it, also after an exec. */
#include "paged.h"

static void fill_and_end(int under_budget)
{
    static struct Painted set[100000];
    uint64_t random = 13;
    size_t count = make_set(set, 100000, 3 * budget() / 2 + MIB, &random, 1), absent = 0;
    for (size_t i = 0; i < count; i++)
        absent += absent_pages(set[i].start, set[i].size);
    CHECK(budget() == 0 || under_budget == (absent > budget() / PAGE / 4));
    if (under_budget)
        check_budget_is_kept();
    for (size_t i = 0; i < count; i++)
        free_painted(&set[i]);
}

static int run(const char *program, const char *task)
{
    pid_t child = fork();
    if (child == 0) {
        execl(program, program, task, NULL);
        _exit(100);
    }
    return status_of(child);
}

int main(int count, char **argument)
{
    const char *task = count > 1 ? argument[1] : "first";
    char number[20];
    start_paged();
    snprintf(number, sizeof number, "%d", getpid());
    fill_and_end(strcmp(task, "free") != 0);
    if (strcmp(task, "first") == 0) {
        CHECK(run(argument[0], "bound") == 0);
        CHECK(setenv("GLEBE_BUDGET_PID", number, 1) == 0);
        CHECK(run(argument[0], "free") == 0);
        execl(argument[0], argument[0], "alone", NULL);
        CHECK(!"exec");
    }
    if (strcmp(task, "alone") == 0)
        CHECK(strcmp(getenv("GLEBE_BUDGET_PID"), number) == 0 && run(argument[0], "free") == 0);
    return 0;
}
