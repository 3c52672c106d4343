/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_SOURCE=mmap
   Timer signals arrive at any instant of a fault. Their handler runs on an alternate stack that lies
   in the heap and goes out between signals; it reads and writes objects that are out. */
#include "paged.h"
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>

enum { STACK = 64 * 1024, OBJECTS = 500 };

static struct Painted set[100000], of_handler[OBJECTS];
static unsigned char *stack;
static atomic_uint handled;

static void handle(int signal)
{
    unsigned char local[3 * PAGE];
    int error = errno;
    (void)signal;
    CHECK(local > stack && local < stack + STACK);
    paint(local, sizeof local, handled);
    struct Painted *object = &of_handler[handled % OBJECTS];
    check_painted(object);
    *object = repaint(*object, handled);
    CHECK(painted(local, sizeof local, handled));
    handled++;
    errno = error;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK | SA_RESTART};
    struct itimerval timer = {{0, 500}, {0, 500}};
    uint64_t random = 17;
    start_paged();
    CHECK((stack = malloc(STACK)) != NULL);
    stack_t alternate = {.ss_sp = stack, .ss_size = STACK};
    CHECK(sigaltstack(&alternate, NULL) == 0 && sigaction(SIGALRM, &action, NULL) == 0);
    for (int i = 0; i < OBJECTS; i++)
        of_handler[i] = make_painted(9000, 0);
    size_t count = make_set(set, 100000, budgets(2), &random, 1);
    push_out();
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
    for (unsigned round = 2; handled < 1500; round++) {
        for (size_t i = 0; i < count; i++) {
            size_t which = next_random(&random) % count;
            check_painted(&set[which]);
            set[which] = repaint(set[which], round);
        }
    }
    timer = (struct itimerval){0};
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
    for (size_t i = 0; i < count; i++)
        check_painted(&set[i]);
    for (size_t i = 0; i < OBJECTS; i++)
        check_painted(&of_handler[i]);
    check_budget_is_kept();
    return 0;
}
