/* expect: exit 0
   modes: link preload
   SIGBUS from a mapping behind its file's end reaches the program's handler, or ends it. */
#include "faults.h"

static int file;
static char *mapping;
static volatile int calls;

static void extend(int signal, siginfo_t *info, void *context)
{
    CHECK(signal == SIGBUS && info->si_code == BUS_ADRERR && info->si_addr == mapping + 4096);
    CHECK(context && ftruncate(file, 8192) == 0);
    calls++;
}

static void map(void)
{
    file = memfd_create("short", MFD_CLOEXEC);
    CHECK(file >= 0 && ftruncate(file, 4096) == 0);
    mapping = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    CHECK(mapping != MAP_FAILED);
}

static void handled(void)
{
    struct sigaction action = {.sa_sigaction = extend, .sa_flags = SA_SIGINFO};
    map();
    CHECK(sigaction(SIGBUS, &action, NULL) == 0);
    moment(AFTER_THE_HANDLER);
    write_to(mapping + 4096);
    CHECK(calls == 1);
}

static void unhandled(void)
{
    map();
    moment(AFTER_THE_HANDLER);
    write_to(mapping + 4096);
}

int main(void)
{
    at_each_moment(handled, 0);
    at_each_moment(unhandled, SIGBUS);
    return 0;
}
