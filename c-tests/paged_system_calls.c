/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_STORE=file
   under: GLEBE_BUDGET=32M GLEBE_SOURCE=mmap
   The kernel reads from buffers that are out and writes into buffers that are out, by every way in
   which programs hand it some; nothing is cut short, and both sides come back right later. */
#include "paged.h"
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

enum { TIMES = 6, SIZE = 5 * 4096 + 1234 };

static int ends[2], folder_file = -1;

static void through_a_pipe(unsigned char *from, unsigned char *to)
{
    CHECK(pipe(ends) == 0 && write(ends[1], from, SIZE) == SIZE && read(ends[0], to, SIZE) == SIZE);
}

static void through_a_stream_socket(unsigned char *from, unsigned char *to)
{
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    CHECK(send(ends[1], from, SIZE, 0) == SIZE && recv(ends[0], to, SIZE, MSG_WAITALL) == SIZE);
}

static void through_a_datagram_socket(unsigned char *from, unsigned char *to)
{
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0);
    CHECK(send(ends[1], from, SIZE, 0) == SIZE && recv(ends[0], to, SIZE, 0) == SIZE);
}

static void through_messages_in_parts(unsigned char *from, unsigned char *to)
{
    struct iovec out[3] = {{from, 100}, {from + 100, 9000}, {from + 9100, SIZE - 9100}};
    struct iovec in[2] = {{to, 12345}, {to + 12345, SIZE - 12345}};
    struct msghdr sent = {.msg_iov = out, .msg_iovlen = 3}, received = {.msg_iov = in, .msg_iovlen = 2};
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    CHECK(sendmsg(ends[1], &sent, 0) == SIZE && recvmsg(ends[0], &received, 0) == SIZE);
}

static void through_a_pipe_in_parts(unsigned char *from, unsigned char *to)
{
    struct iovec out[2] = {{from, 5000}, {from + 5000, SIZE - 5000}};
    struct iovec in[3] = {{to, 1}, {to + 1, 8191}, {to + 8192, SIZE - 8192}};
    CHECK(pipe(ends) == 0 && writev(ends[1], out, 2) == SIZE && readv(ends[0], in, 3) == SIZE);
}

static void through_a_file(unsigned char *from, unsigned char *to)
{
    CHECK(pwrite(folder_file, from, SIZE, 777) == SIZE && pread(folder_file, to, SIZE, 777) == SIZE);
}

static void by_pages_given_to_a_pipe(unsigned char *from, unsigned char *to)
{
    struct iovec out = {from, SIZE};
    CHECK(pipe(ends) == 0 && vmsplice(ends[1], &out, 1, 0) == SIZE && read(ends[0], to, SIZE) == SIZE);
}

static void by_process_vm_readv(unsigned char *from, unsigned char *to)
{
    struct iovec remote = {from, SIZE}, local = {to, SIZE};
    if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != SIZE) {
        CHECK(errno == ENOSYS || errno == EPERM);
        memcpy(to, from, SIZE);
    }
}

static void by_process_vm_writev(unsigned char *from, unsigned char *to)
{
    struct iovec remote = {to, SIZE}, local = {from, SIZE};
    if (process_vm_writev(getpid(), &local, 1, &remote, 1, 0) != SIZE) {
        CHECK(errno == ENOSYS || errno == EPERM);
        memcpy(to, from, SIZE);
    }
}

/* Another process, which runs while this one waits in the kernel. */
static void by_another_process(unsigned char *from, unsigned char *to)
{
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    pid_t child = fork();
    if (child == 0) {
        static unsigned char plain[SIZE];
        alarm(60);
        CHECK(recv(ends[1], plain, SIZE, MSG_WAITALL) == SIZE && send(ends[1], plain, SIZE, 0) == SIZE);
        _exit(0);
    }
    CHECK(send(ends[0], from, SIZE, 0) == SIZE && recv(ends[0], to, SIZE, MSG_WAITALL) == SIZE);
    CHECK(status_of(child) == 0);
}

static const struct Exchange {
    void (*run)(unsigned char *from, unsigned char *to);
} exchange[] = {{through_a_pipe}, {through_a_stream_socket}, {through_a_datagram_socket},
                {through_messages_in_parts}, {through_a_pipe_in_parts}, {through_a_file},
                {by_pages_given_to_a_pipe}, {by_process_vm_readv}, {by_process_vm_writev},
                {by_another_process}};

enum { EXCHANGES = sizeof exchange / sizeof *exchange };

/* Small things that the kernel reads or fills in: each has a page of its own that is out. */
static void small_things(unsigned char *page)
{
    char *path = (char *)page;
    struct stat *status = (struct stat *)(page + PAGE - sizeof *status);
    CHECK(stat(path, status) == 0 && S_ISCHR(status->st_mode));
    CHECK(getcwd(path + PAGE, PAGE) && path[PAGE] == '/');
    CHECK(getrandom(page + PAGE + 100, 2 * PAGE, 0) == 2 * (ssize_t)PAGE);
    struct pollfd *watched = (struct pollfd *)(page + 4 * PAGE - sizeof *watched);
    *watched = (struct pollfd){folder_file, POLLIN, 0};
    CHECK(poll(watched, 1, -1) == 1 && watched->revents == POLLIN);
    struct timespec *time = (struct timespec *)(page + 5 * PAGE);
    CHECK(clock_getres(CLOCK_MONOTONIC, time) == 0 && time->tv_sec == 0 && time->tv_nsec > 0);
    CHECK(syscall(SYS_clock_gettime, CLOCK_REALTIME, page + 6 * PAGE - 8) == 0);
}

int main(void)
{
    static unsigned char *from[EXCHANGES][TIMES], *to[EXCHANGES][TIMES], *small[TIMES];
    start_paged();
    CHECK((folder_file = fileno(tmpfile())) >= 0 && write(folder_file, "x", 1) == 1);
    for (size_t i = 0; i < EXCHANGES * TIMES; i++) {
        from[0][i] = make_painted(SIZE, 1).start;
        to[0][i] = make_painted(SIZE, 2).start;
    }
    for (int time = 0; time < TIMES; time++) {
        CHECK((small[time] = aligned_alloc(PAGE, 7 * PAGE)) != NULL);
        memset(small[time], 1, 7 * PAGE);
        strcpy((char *)small[time], "/dev/null");
    }
    push_out();
    for (int time = 0; time < TIMES; time++) {
        CHECK(budget() == 0 || absent_pages(to[0][time], SIZE) >= 3 || time > 0);
        small_things(small[time]);
        for (size_t way = 0; way < EXCHANGES; way++) {
            ends[0] = ends[1] = -1;
            exchange[way].run(from[way][time], to[way][time]);
            close(ends[0]);
            close(ends[1]);
        }
    }
    for (int round = 0; round < 2; round++, push_out())
        for (size_t i = 0; i < EXCHANGES * TIMES; i++) {
            CHECK(painted(from[0][i], SIZE, (uintptr_t)from[0][i] + 1));
            CHECK(painted(to[0][i], SIZE, (uintptr_t)from[0][i] + 1));
        }
    check_budget_is_kept();
    return 0;
}
