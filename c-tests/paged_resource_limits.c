/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_STORE=file
   Once the budget is being kept a program may lower its limits: no descriptors, no processes, no
   more address space than 64 MiB beyond what it has, hardly a file. Where malloc then answers NULL
   nothing is lost, and what is freed can be had again. */
#include "paged.h"
#include <sys/resource.h>

static struct Painted set[100000], more[100000];

static void limit(int what, size_t bytes)
{
    struct rlimit limits = {bytes, bytes};
    CHECK(setrlimit(what, &limits) == 0);
}

static size_t address_space(void)
{
    char text[100] = "";
    int file = open("/proc/self/statm", O_RDONLY);
    CHECK(file >= 0 && read(file, text, sizeof text - 1) > 0 && close(file) == 0);
    return strtoull(text, NULL, 10) * PAGE;
}

int main(void)
{
    uint64_t random = 29;
    start_paged();
    size_t count = make_set(set, 100000, budgets(2), &random, 1), added = 0;
    limit(RLIMIT_AS, address_space() + 64 * MIB);
    limit(RLIMIT_NOFILE, 0);
    limit(RLIMIT_NPROC, 0);
    limit(RLIMIT_MEMLOCK, 0);
    limit(RLIMIT_CORE, 0);
    for (int round = 0; round < 2; round++) {
        size_t bytes = 0;
        while (bytes < 200 * MIB && (more[added].start = malloc(more[added].size = 50000 + added)) != NULL) {
            more[added] = repaint(more[added], 1);
            bytes += more[added++].size;
        }
        CHECK(bytes > 16 * MIB && bytes < 200 * MIB && errno == ENOMEM);
        for (size_t i = 0; i < count; i++) {
            check_painted(&set[i]);
            set[i] = repaint(set[i], 2);
        }
        while (added > 0)
            free_painted(&more[--added]);
    }
    for (size_t i = 0; i < count; i++)
        free_painted(&set[i]);
    return 0;
}
