/* expect: exit 0
   modes: link preload static
   _Fork and the raw system call run no fork handlers; the kernel's MADV_WIPEONFORK lets the child
   notice, so it can allocate all the same. */
#include "churn.h"
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

int main(void)
{
    pthread_t thread[4];
    churn_start(thread, 4);
    for (int i = 0; i < 500; i++) {
        int status;
        pid_t child = i % 2 ? _Fork() : (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        if (child == 0) {
            churn_in_child(60);
            _exit(0);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    }
    churn_end(thread, 4);
    return 0;
}
