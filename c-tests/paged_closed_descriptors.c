/* expect: exit 0
   modes: link preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_STORE=file
   A program closes every descriptor it can name, before its heap reaches the budget and long after,
   and opens files under the lowest numbers, as a daemon does. The budget does not notice, and no
   number is taken. */
#include "paged.h"

static struct Painted set[100000];

int main(void)
{
    uint64_t random = 71;
    start_paged();
    CHECK(close_range(3, ~0U, 0) == 0);
    size_t count = make_set(set, 100000, budgets(3), &random, 1);
    /* The lowest number is free: nothing of ours lies there. */
    int lowest = open("/dev/null", O_RDWR);
    CHECK(lowest == 3 && close(lowest) == 0);
    for (unsigned round = 0; round < 2; round++) {
        if (round == 0)
            CHECK(close_range(3, ~0U, 0) == 0);
        else
            for (int file = 3; file < 4096; file++)
                close(file);
        for (size_t i = round; i < count; i += 2) {
            check_painted(&set[i]);
            set[i] = repaint(set[i], 2 + round);
        }
    }
    int first = open("/dev/zero", O_RDONLY), second = dup(first);
    CHECK(first == 3 && second == 4 && dup2(first, 200) == 200);
    for (size_t i = 0; i < count; i++)
        check_painted(&set[i]);
    char byte = 1;
    CHECK(read(200, &byte, 1) == 1 && byte == 0 && read(second, &byte, 1) == 1);
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        CHECK(close_range(3, ~0U, 0) == 0);
        for (size_t i = 0; i < count; i++)
            check_painted(&set[i]);
        _exit(0);
    }
    CHECK(status_of(child) == 0);
    for (size_t i = 0; i < count; i++)
        free_painted(&set[i]);
    check_budget_is_kept();
    return 0;
}
