/* expect: exit 0
   modes: link static
   An end before the start, beyond what is reserved, beyond RLIMIT_DATA: -1, ENOMEM, and all is as
   it was; a success keeps errno. */
#include "check.h"
#include "glebe.h"
#include <sys/resource.h>

static char *start;
static const size_t size = 100001;

static void refused(int is_refused, int error)
{
    CHECK(is_refused && error == ENOMEM);
    CHECK(glebe_sbrk(0) == start + size && holds(start, size, 5));
}

static void brk_is_refused(void *end)
{
    errno = 77;
    int status = glebe_brk(end);
    refused(status == -1, errno);
}

static void sbrk_is_refused(intptr_t bytes)
{
    errno = 77;
    void *end = glebe_sbrk(bytes);
    refused(end == (void *)-1, errno);
}

int main(void)
{
    start = glebe_sbrk((intptr_t)size);
    CHECK(start != (void *)-1);
    fill(start, size, 5);

    brk_is_refused(start - 1);
    brk_is_refused(NULL);
    brk_is_refused((void *)UINTPTR_MAX);
    brk_is_refused(start + ((size_t)1 << 46));
    sbrk_is_refused(-(intptr_t)size - 1);
    sbrk_is_refused(INTPTR_MIN);
    sbrk_is_refused(INTPTR_MAX);
    sbrk_is_refused((intptr_t)1 << 46);

    struct rlimit old;
    CHECK(getrlimit(RLIMIT_DATA, &old) == 0);
    struct rlimit limit = {.rlim_cur = 64 * MIB, .rlim_max = old.rlim_max};
    CHECK(setrlimit(RLIMIT_DATA, &limit) == 0);
    sbrk_is_refused(256 * MIB);
    CHECK(setrlimit(RLIMIT_DATA, &old) == 0);

    errno = 77;
    CHECK(glebe_sbrk(256 * MIB) == start + size && glebe_brk(start + size) == 0);
    CHECK(glebe_brk(start) == 0 && glebe_sbrk(0) == start);
    CHECK(errno == 77);
    return 0;
}
