/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_SOURCE=mmap
   Coroutines and threads whose stacks are blocks of the heap, and jumps back over frames that are
   out: a stack pointer into an absent page is as good as any other. */
#include "paged.h"
#include <pthread.h>
#include <setjmp.h>
#include <ucontext.h>

enum { COROUTINES = 200, STACK = 128 * 1024, ROUNDS = 3 };

static ucontext_t *home, *context[COROUTINES];

static void coroutine(int number)
{
    unsigned char local[40 * 1024];
    for (unsigned round = 0; round < ROUNDS; round++) {
        paint(local, sizeof local, (unsigned)number * 10 + round);
        CHECK(swapcontext(context[number], home) == 0);
        CHECK(painted(local, sizeof local, (unsigned)number * 10 + round));
    }
}

static void *on_a_block(void *number)
{
    unsigned char local[60 * 1024];
    paint(local, sizeof local, (uintptr_t)number);
    push_out();
    CHECK(painted(local, sizeof local, (uintptr_t)number));
    return number;
}

static jmp_buf *back;

static void down(int depth)
{
    unsigned char local[4096];
    paint(local, sizeof local, (unsigned)depth);
    if (depth < 20)
        down(depth + 1);
    else
        push_out();
    CHECK(painted(local, sizeof local, (unsigned)depth));
    if (depth == 10)
        longjmp(*back, depth);
}

static void *jump(void *unused)
{
    for (int round = 0; round < 2; round++)
        if (setjmp(*back) == 0)
            down(0);
    return unused;
}

static void run_on_a_block(void *(*start)(void *))
{
    pthread_attr_t attributes;
    pthread_t thread;
    void *stack = aligned_alloc(PAGE, STACK * 2);
    CHECK(stack && pthread_attr_init(&attributes) == 0 && pthread_attr_setstack(&attributes, stack, STACK * 2) == 0);
    push_out();
    CHECK(pthread_create(&thread, &attributes, start, stack) == 0 && pthread_join(thread, NULL) == 0);
    free(stack);
}

int main(void)
{
    start_paged();
    CHECK((home = malloc(sizeof *home)) && (back = malloc(sizeof *back)));
    for (int i = 0; i < COROUTINES; i++) {
        CHECK((context[i] = malloc(sizeof *context[i])) && getcontext(context[i]) == 0);
        context[i]->uc_stack = (stack_t){.ss_sp = malloc(STACK), .ss_size = STACK};
        context[i]->uc_link = home;
        CHECK(context[i]->uc_stack.ss_sp != NULL);
        makecontext(context[i], (void (*)(void))coroutine, 1, i);
    }
    for (int round = 0; round <= ROUNDS; round++, push_out())
        for (int i = 0; i < COROUTINES; i++)
            CHECK(swapcontext(home, context[i]) == 0);
    for (int i = 0; i < COROUTINES; i++) {
        free(context[i]->uc_stack.ss_sp);
        free(context[i]);
    }
    run_on_a_block(on_a_block);
    run_on_a_block(jump);
    check_budget_is_kept();
    return 0;
}
