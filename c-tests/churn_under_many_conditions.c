/* expect: exit 0
   modes: link preload static
   under: nothing
   under: confine refuse=madvise,mremap,getrandom,userfaultfd,rseq,membarrier,process_madvise,prctl
   under: confine refuse=madvise,mremap,getrandom,userfaultfd,rseq,membarrier,process_madvise,prctl with=ENOSYS
   under: confine refuse=madvise
   under: confine refuse=munmap,mremap
   under: confine as=1G
   under: confine data=1G
   under: confine closed
   under: confine no-proc
   under: GLIBC_TUNABLES=glibc.pthread.rseq=0
   under: GLEBE_SOURCE=break ALONE=1
   under: GLEBE_SOURCE=mmap
   under: GLEBE_SOURCE=break ALONE=1 confine data=64M
   under: GLEBE_PURGE=thread GLEBE_PURGE_DELAY_MS=1
   under: GLEBE_PURGE_DELAY_MS=0 GLEBE_DIRTY_MIB=0
   under: GLEBE_PURGE_DELAY_MS=3600000 GLEBE_DIRTY_MIB=65536
   under: GLEBE_HARDENED=1
   under: GLEBE_SAMPLE=100000
   Threads, trims, a fork and large blocks, whatever the process may not do. Not ALONE means with a
   fork: Linux copies the end of the break before it locks it, so a child forked while it moves may
   be refused any growth of it, and with the break alone would be out of memory. */
#include "churn.h"
#include <sys/wait.h>

static void *work(void *seed)
{
    uint64_t random = 5 + (uintptr_t)seed;
    for (int i = 0; i < 15000; i++) {
        churn_step(&random, i % 512 ? 64 * KIB : 3 * MIB);
        if (i % 4096 == 0)
            malloc_trim(0);
    }
    return NULL;
}

int main(void)
{
    pthread_t thread[3];
    for (size_t i = 0; i < 3; i++)
        CHECK(pthread_create(&thread[i], NULL, work, (void *)i) == 0);
    pid_t child = getenv("ALONE") ? -1 : fork();
    if (child == 0) {
        churn_in_child(60);
        _exit(0);
    }
    work((void *)9);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(thread[i], NULL) == 0);
    int status;
    CHECK(child == -1 || (waitpid(child, &status, 0) == child && status == 0));
    for (int i = 0; i < CHURN_SLOTS; i++)
        churn_destroy(churn_slot[i]);
    return 0;
}
