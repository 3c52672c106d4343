/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_STORE=file
   Two hundred forks one after the other, by fork and by _Fork, half of them with two children at a
   time. Each child reads what it has of the heap, writes, and ends; the parent goes on. Nothing of
   theirs stays: no thread, no descriptor, no memory. */
#include "paged.h"
#include <dirent.h>

static struct Painted set[100000];

static size_t entries(const char *path)
{
    DIR *folder = opendir(path);
    size_t count = 0;
    CHECK(folder != NULL);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static pid_t fork_one(int number, size_t count)
{
    pid_t child = number % 3 ? fork() : _Fork();
    if (child == 0) {
        alarm(60);
        for (size_t i = (size_t)number % 50; i < count; i += 50) {
            check_painted(&set[i]);
            set[i] = repaint(set[i], 99);
            check_painted(&set[i]);
        }
        _exit(number % 100);
    }
    return child;
}

int main(void)
{
    uint64_t random = 61;
    size_t files = 0, threads = 0;
    start_paged();
    size_t count = make_set(set, 100000, budgets(2), &random, 1);
    for (int number = 0; number < 200; number++) {
        pid_t child = fork_one(number, count), second = number % 2 ? fork_one(number, count) : 0;
        size_t which = next_random(&random) % count;
        set[which] = repaint(set[which], (unsigned)number);
        CHECK(status_of(child) == number % 100);
        CHECK(second == 0 || status_of(second) == number % 100);
        if (number == 20) {
            files = entries("/proc/self/fd");
            threads = entries("/proc/self/task");
        }
    }
    CHECK(entries("/proc/self/fd") <= files && entries("/proc/self/task") <= threads);
    check_budget_is_kept();
    for (size_t i = 0; i < count; i++)
        free_painted(&set[i]);
    return 0;
}
