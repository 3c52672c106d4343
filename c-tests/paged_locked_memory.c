/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_SOURCE=mmap
   What a program locks comes to memory and stays there; what it unlocks goes out again. */
#include "paged.h"

enum { OBJECTS = 32, SIZE = 64 * 4096 };

static unsigned char *object[OBJECTS];

static size_t absent(int parity)
{
    size_t pages = 0;
    for (int i = parity; i < OBJECTS; i += 2)
        pages += absent_pages(object[i], SIZE);
    return pages;
}

int main(void)
{
    start_paged();
    for (int i = 0; i < OBJECTS; i++) {
        CHECK((object[i] = aligned_alloc(PAGE, SIZE)) != NULL);
        paint(object[i], SIZE, (unsigned)i);
    }
    push_out();
    CHECK(budget() == 0 || absent(0) > 0);
    for (int i = 0; i < OBJECTS; i += 2)
        if (mlock(object[i], SIZE) != 0)
            skip("may not lock 4 MiB");
    CHECK(absent(0) == 0);
    push_out();
    CHECK(absent(0) == 0 && (budget() == 0 || absent(1) > 0));
    for (int i = 0; i < OBJECTS; i++) {
        CHECK(painted(object[i], SIZE, (unsigned)i));
        paint(object[i], SIZE, (unsigned)i + 100);
    }
    push_out();
    CHECK(absent(0) == 0);
    for (int i = 0; i < OBJECTS; i += 2)
        CHECK(munlock(object[i], SIZE) == 0);
    /* What could not be moved may be left in peace for a while. */
    for (int round = 0; budget() && absent(0) == 0; round++) {
        CHECK(round < 20);
        push_out();
    }
    for (int i = 0; i < OBJECTS; i++)
        CHECK(painted(object[i], SIZE, (unsigned)i + 100));
    /* Locked as a whole, only as far as it is touched: what is out must not be lost. */
    if (syscall(SYS_mlock2, object[0], SIZE, 1 /* MLOCK_ONFAULT */) == 0) {
        push_out();
        CHECK(painted(object[0], SIZE, 100));
        CHECK(munlock(object[0], SIZE) == 0);
    }
    push_out();
    for (int i = 0; i < OBJECTS; i++) {
        CHECK(painted(object[i], SIZE, (unsigned)i + 100));
        free(object[i]);
    }
    check_budget_is_kept();
    return 0;
}
