/* expect: exit 0
   modes: link preload static
   A daemon that has closed every descriptor and sees an empty root. */
#include "churn.h"
#include <sched.h>

int main(void)
{
    pthread_t thread[2];
    /* A process's fdinfo is a folder with no way to the rest. */
    const char *empty = "/proc/self/fdinfo";
    if (chroot(empty) != 0 && (unshare(CLONE_NEWUSER) != 0 || chroot(empty) != 0))
        skip("may not chroot");
    CHECK(chdir("/") == 0 && access("/proc", F_OK) != 0);
    CHECK(close_range(0, ~0U, 0) == 0);
    churn_start(thread, 2);
    uint64_t random = 8;
    for (int i = 0; i < 20000; i++)
        churn_step(&random, i % 512 ? 64 * KIB : 3 * MIB);
    churn_end(thread, 2);
    malloc_trim(0);
    return 0;
}
