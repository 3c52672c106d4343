/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_SOURCE=mmap
   Programs protect pages of their own heap: read-only, inaccessible, executable. Pages that are out
   come back as they were under the new protection and under the old one again; what is in memory may
   stay there. */
#include "paged.h"
#include <setjmp.h>
#include <signal.h>

enum { OBJECTS = 24, SIZE = 32 * 4096 };

static sigjmp_buf back;

static void leave(int signal)
{
    (void)signal;
    siglongjmp(back, 1);
}

static int faults(volatile unsigned char *byte, int write_too)
{
    if (sigsetjmp(back, 1))
        return 1;
    unsigned char value = *byte;
    if (write_too)
        *byte = value;
    return 0;
}

int main(void)
{
    const int protection[] = {PROT_READ, PROT_NONE, PROT_READ | PROT_WRITE | PROT_EXEC, PROT_READ | PROT_WRITE};
    unsigned char *object[OBJECTS];
    struct sigaction action = {.sa_handler = leave};
    start_paged();
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    for (int i = 0; i < OBJECTS; i++) {
        CHECK((object[i] = aligned_alloc(PAGE, SIZE)) != NULL);
        paint(object[i], SIZE, (unsigned)i);
    }
    for (int round = 0; round < 4; round++) {
        if (round % 2)
            push_out();
        for (int i = 0; i < OBJECTS; i++)
            if (mprotect(object[i] + PAGE, SIZE - 2 * PAGE, protection[(i + round) % 4]) != 0)
                skip("may not protect the heap");
        push_out();
        for (int i = 0; i < OBJECTS; i++) {
            int now = protection[(i + round) % 4];
            CHECK(faults(object[i] + 2 * PAGE, 0) == (now == PROT_NONE));
            CHECK(faults(object[i] + 3 * PAGE, 1) == !(now & PROT_WRITE));
            CHECK(now == PROT_NONE || painted(object[i], SIZE, (unsigned)i));
        }
    }
    for (int i = 0; i < OBJECTS; i++) {
        CHECK(mprotect(object[i] + PAGE, SIZE - 2 * PAGE, PROT_READ | PROT_WRITE) == 0);
        CHECK(painted(object[i], SIZE, (unsigned)i));
        paint(object[i], SIZE, (unsigned)i + 100);
    }
    push_out();
    for (int i = 0; i < OBJECTS; i++) {
        CHECK(painted(object[i], SIZE, (unsigned)i + 100));
        free(object[i]);
    }
    check_budget_is_kept();
    return 0;
}
