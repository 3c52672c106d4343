/* expect: exit 0
   modes: link
   A private segment is each process's own after a fork, under the same handle: no write of one is
   seen by the other. One that is attached is shared at whatever base it lies in each, also by a
   process that gets the descriptor. A protection that forbids writing does. */
#include "check.h"
#include "glebe.h"
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { FORKS = 50 };

static void child_ends_well(pid_t child)
{
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static char *bytes_of(glebe_segment segment, size_t size)
{
    void *address;
    CHECK(glebe_segment_translate(segment, 0, size, &address) == GLEBE_SEGMENT_OK);
    return address;
}

static volatile int is_done;

static void *move_on_and_on(void *segment)
{
    while (!is_done)
        CHECK(glebe_segment_relocate(*(glebe_segment *)segment, NULL) == GLEBE_SEGMENT_OK);
    return NULL;
}

int main(void)
{
    glebe_segment_options options = {.struct_size = sizeof options, .size = 3 * MIB,
                                     .protection = GLEBE_PROTECT_READ_WRITE};
    glebe_segment private, shared, other;
    int memory;
    CHECK(glebe_segment_create(&options, &private) == GLEBE_SEGMENT_OK);
    CHECK(glebe_region_shared_memory(4 * MIB, &memory) == GLEBE_REGION_OK);
    CHECK(glebe_segment_attach(memory, &options, &shared) == GLEBE_SEGMENT_OK);
    fill(bytes_of(private, 3 * MIB), 3 * MIB, 1);
    fill(bytes_of(shared, 3 * MIB), 3 * MIB, 1);

    pid_t child = fork();
    if (child == 0) {
        CHECK(holds(bytes_of(private, 3 * MIB), 3 * MIB, 1));
        CHECK(holds(bytes_of(shared, 3 * MIB), 3 * MIB, 1));
        fill(bytes_of(private, 3 * MIB), 3 * MIB, 2);
        CHECK(glebe_segment_relocate(private, NULL) == GLEBE_SEGMENT_OK);
        CHECK(glebe_segment_relocate(shared, NULL) == GLEBE_SEGMENT_OK);
        fill(bytes_of(shared, 3 * MIB), 3 * MIB, 2);
        CHECK(holds(bytes_of(private, 3 * MIB), 3 * MIB, 2));
        /* And once more, at another base: all that there is. */
        options.size = 0;
        CHECK(glebe_segment_attach(memory, &options, &other) == GLEBE_SEGMENT_OK);
        char *again = bytes_of(other, 4 * MIB);
        CHECK(again != bytes_of(shared, 3 * MIB) && holds(again, 3 * MIB, 2));
        fill(again, MIB, 3);
        CHECK(holds(bytes_of(shared, 3 * MIB), MIB, 3));
        _exit(0);
    }
    child_ends_well(child);
    CHECK(holds(bytes_of(private, 3 * MIB), 3 * MIB, 1));
    CHECK(holds(bytes_of(shared, 3 * MIB), MIB, 3));
    CHECK(holds(bytes_of(shared, 3 * MIB) + MIB, 2 * MIB, 2));
    CHECK(close(memory) == 0);

    /* The limit of one who is attached is its own; the memory is everybody's. */
    CHECK(glebe_segment_contract(shared, 10) == GLEBE_SEGMENT_OK);
    CHECK(glebe_segment_expand(shared, 4 * MIB) == GLEBE_SEGMENT_OK);
    CHECK(holds(bytes_of(shared, 4 * MIB), MIB, 3));
    CHECK(glebe_segment_expand(shared, 4 * MIB + 1) == GLEBE_SEGMENT_TOO_LARGE);

    for (int i = 0; i < 2; i++) {
        glebe_segment which = i ? shared : private;
        CHECK(glebe_segment_protect(which, GLEBE_PROTECT_READ) == GLEBE_SEGMENT_OK);
        child = fork();
        if (child == 0) {
            CHECK(bytes_of(which, 10)[5] != 0);
            signal(SIGSEGV, SIG_DFL);
            *(volatile char *)bytes_of(which, 10) = 0;
            _exit(0);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
        CHECK(WTERMSIG(status) == SIGSEGV);
        CHECK(glebe_segment_relocate(which, NULL) == GLEBE_SEGMENT_OK);
        CHECK(bytes_of(which, 10)[5] != 0);
        CHECK(glebe_segment_protect(which, GLEBE_PROTECT_READ_WRITE) == GLEBE_SEGMENT_OK);
        bytes_of(which, 10)[5] = 1;
    }

    /* Forks while a thread moves a segment: the child has every other one, and may make more. */
    glebe_segment moved;
    CHECK(glebe_segment_create(&options, &moved) == GLEBE_SEGMENT_OK);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, move_on_and_on, &moved) == 0);
    for (int i = 0; i < FORKS; i++) {
        child = fork();
        if (child == 0) {
            CHECK(bytes_of(private, 3 * MIB)[100] == 1);
            CHECK(glebe_segment_create(&options, &other) == GLEBE_SEGMENT_OK);
            fill(bytes_of(other, MIB), MIB, 1);
            CHECK(glebe_segment_relocate(private, NULL) == GLEBE_SEGMENT_OK);
            void *address;
            int error = glebe_segment_translate(moved, 0, 1, &address);
            CHECK(error == GLEBE_SEGMENT_OK || error == GLEBE_SEGMENT_BAD_HANDLE);
            _exit(0);
        }
        child_ends_well(child);
    }
    is_done = 1;
    pthread_join(thread, NULL);
    CHECK(glebe_segment_delete(moved) == GLEBE_SEGMENT_OK);
    CHECK(glebe_segment_delete(shared) == GLEBE_SEGMENT_OK);
    CHECK(glebe_segment_delete(private) == GLEBE_SEGMENT_OK);
    return 0;
}
