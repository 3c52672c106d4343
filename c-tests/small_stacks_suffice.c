/* expect: exit 0
   modes: link preload
   under: nothing
   under: GLEBE_HARDENED=1
   under: GLEBE_SAMPLE=100000
   Every door on a thread with the smallest stack there is, and in a handler that has 4 KiB: what
   lies below them stays as it was. */
#include "check.h"
#include <limits.h>
#include <pthread.h>
#include <signal.h>

static void use_doors(void)
{
    for (size_t size = 1; size < 20 * MIB; size = size * 3 + 1) {
        void *block = malloc(size);
        block = realloc(block, size * 2);
        free(calloc(1, size));
        free(aligned_alloc(4096, size));
        CHECK(malloc_usable_size(block) >= size * 2);
        free(block);
    }
    malloc_trim(0);
}

static void *work(void *unused)
{
    use_doors();
    return unused;
}

static void handle(int signal)
{
    (void)signal;
    use_doors();
}

int main(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN) == 0);
    for (int i = 0; i < 10; i++) {
        CHECK(pthread_create(&thread, &attributes, work, NULL) == 0);
        pthread_join(thread, NULL);
    }
    enum { BELOW = 16 * KIB, PAINT = 0xa5 };
    size_t bytes = sysconf(_SC_MINSIGSTKSZ) + 4 * KIB;
    unsigned char *memory = malloc(BELOW + bytes);
    memset(memory, PAINT, BELOW);
    stack_t stack = {.ss_sp = memory + BELOW, .ss_size = bytes};
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK};
    CHECK(sigaltstack(&stack, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(raise(SIGUSR1) == 0);
    for (size_t at = 0; at < BELOW; at++) {
        CHECK(memory[at] == PAINT);
    }
    return 0;
}
