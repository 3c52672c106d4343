/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   The kernel makes huge pages by itself, of a child's memory too, before the child's own fault handler
   is there; and such a page would have zeroes where pages are out. So what is out has none, whatever the
   program has asked for. */
#include "paged.h"

/* Whether the mapping of `address` has that flag in smaps. */
static int has_flag(const void *address, const char *flag)
{
    static char line[4096];
    int inside = 0, has = -1;
    FILE *maps = fopen("/proc/self/smaps", "r");
    CHECK(maps != NULL);
    while (fgets(line, sizeof line, maps)) {
        uintptr_t start, end;
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            inside = start <= (uintptr_t)address && (uintptr_t)address < end;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            has = strstr(line, flag) != NULL;
    }
    fclose(maps);
    CHECK(has >= 0);
    return has;
}

int main(void)
{
    start_paged();
    if (access("/sys/kernel/mm/transparent_hugepage/enabled", F_OK) != 0)
        skip("a kernel without huge pages");
    struct Painted object = make_painted(8 * MIB, 1);
    push_out_object(object.start, object.size);
    unsigned char *middle = (unsigned char *)(((uintptr_t)object.start + 4 * MIB) & -(2 * MIB));
    CHECK(madvise(middle, 2 * MIB, MADV_HUGEPAGE) == 0);
    CHECK(has_flag(middle, " hg"));
    for (int number = 0; number < 2; number++) {
        pid_t child = number ? _Fork() : fork();
        if (child == 0) {
            if (budget()) {
                CHECK(has_flag(middle, " nh") && !has_flag(middle, " hg"));
                CHECK(has_flag(object.start + MIB, " nh"));
            }
            check_painted(&object);
            _exit(0);
        }
        CHECK(status_of(child) == 0);
    }
    free_painted(&object);
    return 0;
}
