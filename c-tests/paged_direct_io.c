/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_SOURCE=mmap
   A file is written from memory that is out and read back into memory that is out, past the page
   cache: the device reads and writes the program's own pages. Other threads keep them going out. */
#include "paged.h"
#include <pthread.h>
#include <stdatomic.h>

enum { PART = 256 * 1024, PARTS = 64 };

static atomic_int done;

static void *push_out_until_done(void *unused)
{
    while (!done)
        push_out();
    return unused;
}

int main(void)
{
    char name[] = "./paged_direct_io.XXXXXX";
    pthread_t thread;
    start_paged();
    int file = mkostemp(name, O_DIRECT);
    if (file < 0) {
        strcpy(name, "/var/tmp/paged.XXXXXX");
        file = mkostemp(name, O_DIRECT);
    }
    if (file < 0 || unlink(name) != 0)
        skip("no file system with O_DIRECT");
    unsigned char *from = aligned_alloc(PAGE, PART * PARTS), *to = aligned_alloc(PAGE, PART * PARTS);
    CHECK(from && to);
    paint(from, PART * PARTS, 3);
    memset(to, 1, PART * PARTS);
    push_out();
    CHECK(pthread_create(&thread, NULL, push_out_until_done, NULL) == 0);
    for (size_t part = 0; part < PARTS; part++) {
        ssize_t written = pwrite(file, from + part * PART, PART, (off_t)(part * PART));
        if (written < 0 && errno == EINVAL)
            skip("this file system refuses O_DIRECT");
        CHECK(written == PART);
    }
    for (size_t part = 0; part < PARTS; part++)
        CHECK(pread(file, to + part * PART, PART, (off_t)(part * PART)) == PART);
    done = 1;
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(painted(to, PART * PARTS, 3));
    push_out();
    CHECK(painted(to, PART * PARTS, 3) && painted(from, PART * PARTS, 3));
    check_budget_is_kept();
    return 0;
}
