/* expect: exit 0
   modes: link preload static
   under: GLEBE_SAMPLE=100000
   Each misuse of a sampled block ends in a report of its kind, with the block and the stacks. Where
   it depends on the side of its page on which a block stands, both come by in a few attempts. */
#include "reported.h"
#include <pthread.h>

#define BYTES 100

static char *volatile block;

static char *new_block(void)
{
    *misused = block = malloc(BYTES);
    CHECK(block && malloc_usable_size(block) == BYTES);
    return block;
}

static void write_upwards(void)
{
    for (volatile char *at = new_block();; at++)
        *at = 1;
}

static void read_upwards(void)
{
    for (volatile char *at = new_block();; at++)
        (void)*at;
}

static void write_downwards(void)
{
    for (volatile char *at = new_block();; at--)
        *at = 1;
}

static void read_downwards(void)
{
    for (volatile char *at = new_block();; at--)
        (void)*at;
}

static void write_behind(void)
{
    new_block()[BYTES] = 1;
    free(block);
}

static void write_behind_and_resize(void)
{
    new_block()[BYTES + 3] = 1;
    block = realloc(block, 50);
}

static void write_before(void)
{
    do
        new_block();
    while ((uintptr_t)block % 4096 == 0);
    block[-1] = 1;
    free(block);
}

static void write_after_free(void)
{
    free(new_block());
    ((volatile char *)block)[40] = 1;
}

static void read_after_free(void)
{
    free(new_block());
    (void)((volatile char *)block)[BYTES - 1];
}

static void free_twice(void)
{
    free(new_block());
    free(block);
}

static void resize_after_free(void)
{
    free(new_block());
    block = realloc(block, 200);
}

static void free_inside(void)
{
    free(new_block() + 8);
}

static void free_at_end(void)
{
    free(new_block() + BYTES);
}

static void size_inside(void)
{
    CHECK(malloc_usable_size(new_block() + 1) != 12345);
}

static void *free_it(void *it)
{
    free(it);
    return NULL;
}

static void write_after_free_elsewhere(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, free_it, new_block()) == 0);
    pthread_join(thread, NULL);
    ((volatile char *)block)[40] = 1;
}

static void *write_it(void *it)
{
    *(volatile char *)it = 1;
    return NULL;
}

static void write_after_free_in_two_threads(void)
{
    pthread_t thread;
    free(new_block());
    CHECK(pthread_create(&thread, NULL, write_it, block) == 0);
    write_it(block);
}

static void expect(void (*misuse)(void), const char *kind, long least, long most, int freed)
{
    for (int attempt = 0; attempt < 8; attempt++) {
        report it = report_of(misuse);
        char start[100];
        const char *line = strstr(it.text, "fatal: ");
        snprintf(start, sizeof start, "fatal: %s: ptr=0x", kind);
        if (!line || strncmp(line, start, strlen(start)) != 0 || strstr(line + 1, "fatal: ") ||
            it.offset < least || it.offset > most)
            dprintf(2, "%s, not from %ld to %ld:\n%s", kind, least, most, it.text);
        CHECK(line && strncmp(line, start, strlen(start)) == 0 && !strstr(line + 1, "fatal: "));
        CHECK(WIFSIGNALED(it.status) && WTERMSIG(it.status) == SIGABRT);
        CHECK(it.block == (uintptr_t)*misused && it.bytes == BYTES);
        CHECK(it.ptr - it.block == (uintptr_t)it.offset);
        CHECK(it.offset >= least && it.offset <= most);
        CHECK(frames_of_ours(it.text, "  access:\n") > 0);
        CHECK(frames_of_ours(it.text, "  allocated by thread ") > 0);
        CHECK((frames_of_ours(it.text, "  freed by thread ") > 0) == freed);
    }
}

int main(void)
{
    expect(write_upwards, "write past the end of a block", BYTES, 4096, 0);
    expect(read_upwards, "read past the end of a block", BYTES, 4096, 0);
    expect(write_downwards, "write before the start of a block", -4096, -1, 0);
    expect(read_downwards, "read before the start of a block", -4096, -1, 0);
    expect(write_behind, "write past the end of a block", BYTES, BYTES, 0);
    expect(write_behind_and_resize, "write past the end of a block", BYTES + 3, BYTES + 3, 0);
    expect(write_before, "write before the start of a block", -1, -1, 0);
    expect(write_after_free, "write after free", 40, 40, 1);
    expect(read_after_free, "read after free", BYTES - 1, BYTES - 1, 1);
    expect(free_twice, "double free", 0, 0, 1);
    expect(resize_after_free, "double free", 0, 0, 1);
    expect(free_inside, "free inside a block", 8, 8, 0);
    expect(free_at_end, "free inside a block", BYTES, BYTES, 0);
    expect(size_inside, "malloc_usable_size inside a block", 1, 1, 0);
    expect(write_after_free_elsewhere, "write after free", 40, 40, 1);
    expect(write_after_free_in_two_threads, "write after free", 0, 0, 1);
    return 0;
}
