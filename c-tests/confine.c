/* expect: wrapper
   confine [refuse=CALL,...] [with=ENOSYS] [as=SIZE] [data=SIZE] [closed] [no-proc] PROGRAM ARGUMENT...
   Runs PROGRAM under a seccomp filter that refuses system calls (EPERM unless told), under resource
   limits, with every descriptor but standard output and error closed, or without /proc. */
#include "check.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static const struct { const char *name; unsigned number; } calls[] = {
    {"madvise", SYS_madvise}, {"mremap", SYS_mremap}, {"munmap", SYS_munmap}, {"brk", SYS_brk},
    {"getrandom", SYS_getrandom}, {"userfaultfd", SYS_userfaultfd}, {"rseq", SYS_rseq},
    {"membarrier", SYS_membarrier}, {"process_madvise", SYS_process_madvise}, {"prctl", SYS_prctl}};

static unsigned number_of(const char *name)
{
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (strcmp(calls[i].name, name) == 0)
            return calls[i].number;
    dprintf(2, "confine: no system call %s\n", name);
    _exit(2);
}

static void refuse(char *names, unsigned error)
{
    struct sock_filter filter[40] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    unsigned short length = 1;
    for (char *name = strtok(names, ","); name; name = strtok(NULL, ",")) {
        filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number_of(name), 0, 1);
        filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error);
    }
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {length, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        skip("no seccomp filters here");
}

static void limit(int resource, const char *size)
{
    char *unit;
    rlim_t bytes = strtoull(size, &unit, 10) * (*unit == 'G' ? GIB : *unit == 'M' ? MIB : 1);
    struct rlimit limits = {bytes, bytes};
    CHECK(setrlimit(resource, &limits) == 0);
}

static void hide_proc(void)
{
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("none", "/proc", "tmpfs", 0, NULL))
        skip("may not hide /proc");
}

int main(int count, char **argument)
{
    char *refused = NULL;
    unsigned error = EPERM;
    int next = 1;
    for (; next < count; next++) {
        char *option = argument[next];
        if (strncmp(option, "refuse=", 7) == 0)
            refused = option + 7;
        else if (strcmp(option, "with=ENOSYS") == 0)
            error = ENOSYS;
        else if (strncmp(option, "as=", 3) == 0)
            limit(RLIMIT_AS, option + 3);
        else if (strncmp(option, "data=", 5) == 0)
            limit(RLIMIT_DATA, option + 5);
        else if (strcmp(option, "closed") == 0)
            CHECK(close(0) == 0 && close_range(3, ~0U, 0) == 0);
        else if (strcmp(option, "no-proc") == 0)
            hide_proc();
        else
            break;
    }
    if (refused)
        refuse(refused, error);
    execv(argument[next], argument + next);
    dprintf(2, "confine: %s: %s\n", argument[next], strerror(errno));
    return 2;
}
