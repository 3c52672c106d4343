/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M GLEBE_STORE=both
   Two budgets of objects are written and left alone, while others, of about a budget, are in use. What
   was compressed of the first goes on to the file, so that its memory serves the others; and it comes
   back whole. */
#include "paged.h"

static struct Painted cold[100000], hot[100000];

/* Pages that went from compressed memory to the file, as malloc_stats writes it. */
static size_t written_out(void)
{
    static char text[65536];
    int file = memfd_create("statistics", MFD_CLOEXEC), standard_error = dup(2);
    CHECK(file >= 0 && standard_error >= 0 && dup2(file, 2) == 2);
    malloc_stats();
    CHECK(dup2(standard_error, 2) == 2 && close(standard_error) == 0);
    ssize_t length = pread(file, text, sizeof text - 1, 0);
    CHECK(length > 0 && close(file) == 0);
    const char *line = strstr(text, "written out");
    return line ? strtoull(line + strlen("written out"), NULL, 10) : 0;
}

int main(void)
{
    uint64_t random = 77;
    start_paged();
    size_t cold_count = make_set(cold, 100000, budgets(2), &random, 1);
    size_t hot_count = make_set(hot, 100000, budgets(1), &random, 1);
    for (unsigned version = 2; version < 12; version++) {
        shuffle(hot, hot_count, &random);
        for (size_t i = 0; i < hot_count; i++) {
            check_painted(&hot[i]);
            hot[i] = repaint(hot[i], version);
        }
        check_budget_is_kept();
    }
    CHECK(budget() == 0 || written_out() > 1000);
    for (size_t i = 0; i < cold_count; i++)
        free_painted(&cold[i]);
    for (size_t i = 0; i < hot_count; i++)
        free_painted(&hot[i]);
    return 0;
}
