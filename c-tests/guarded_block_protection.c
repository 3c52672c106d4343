/* expect: exit 0
   modes: link static
   under: GLEBE_SAMPLE=0
   under: GLEBE_HARDENED=1
   under: GLEBE_GUARD=mprotect
   glebe_protect sets what may be done with pages of a guarded block; bad arguments change nothing;
   faults there are the program's own. */
#include "check.h"
#include "glebe.h"
#include "touch.h"

int main(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *block = glebe_guarded_alloc(page, 3 * page + 100), *plain = malloc(4 * page);
    struct sigaction action = {.sa_handler = leave_touch};
    CHECK(block && plain && sigaction(SIGSEGV, &action, NULL) == 0);
    memset(block, 'x', 3 * page + 100);

    errno = 5;
    CHECK(glebe_protect(block + 1, page, GLEBE_PROTECT_NONE) == EINVAL);
    CHECK(glebe_protect(block, page - 1, GLEBE_PROTECT_NONE) == EINVAL);
    CHECK(glebe_protect(block, 0, GLEBE_PROTECT_NONE) == EINVAL);
    CHECK(glebe_protect(block, 5 * page, GLEBE_PROTECT_NONE) == EINVAL);
    CHECK(glebe_protect(block - page, page, GLEBE_PROTECT_READ_WRITE) == EINVAL);
    CHECK(glebe_protect(block + 4 * page, page, GLEBE_PROTECT_READ_WRITE) == EINVAL);
    CHECK(glebe_protect(block, SIZE_MAX & ~(page - 1), GLEBE_PROTECT_NONE) == EINVAL);
    CHECK(glebe_protect(block, page, 3) == EINVAL);
    CHECK(glebe_protect(block, page, -1) == EINVAL);
    CHECK(glebe_protect(NULL, page, GLEBE_PROTECT_NONE) == EINVAL);
    CHECK(glebe_protect(&page, page, GLEBE_PROTECT_NONE) == EINVAL);
    CHECK(glebe_protect((void *)(((uintptr_t)plain + page) & ~(page - 1)), page,
                        GLEBE_PROTECT_NONE) == EINVAL);
    CHECK(errno == 5);
    for (int at = 0; at < 4; at++)
        CHECK(can_write(block + (size_t)at * page));

    CHECK(glebe_protect(block + page, page, GLEBE_PROTECT_READ) == 0);
    CHECK(glebe_protect(block + 2 * page, 2 * page, GLEBE_PROTECT_NONE) == 0);
    CHECK(errno == 5);
    CHECK(can_write(block) && can_write(block + page - 1));
    CHECK(can_read(block + page) && !can_write(block + 2 * page - 1));
    CHECK(!can_read(block + 2 * page) && !can_read(block + 3 * page + 99));
    CHECK(glebe_protect(block + 2 * page, page, GLEBE_PROTECT_READ_WRITE) == 0);
    CHECK(can_write(block + 2 * page) && block[2 * page] == 'x');

    /* Resizing ends protections, and freeing does with any. */
    block = realloc(block, 50 * page);
    CHECK(block && can_write(block + page) && block[3 * page + 99] == 'x');
    free(block);
    for (int i = 0; i < 1000; i++) {
        char *next = glebe_guarded_alloc(page, 10 * page);
        CHECK(next && *next == 0);
        CHECK(glebe_protect(next + page, 2 * page, i % 2) == 0);
        if (i % 3 == 0)
            next = realloc(next, 100);
        free(next);
        CHECK(glebe_protect(next, page, GLEBE_PROTECT_READ_WRITE) == EINVAL);
    }
    free(plain);
    return 0;
}
