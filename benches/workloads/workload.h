/* What the workloads share: arguments, pseudo-random numbers, the clock, resident memory, blocks
   that carry a pattern, and the lines that the runner reads. Nothing here calls malloc except
   take(), so that what is measured is the workload's own doing.

   A workload prints `check RESULT`, which must be the same under every allocator, any number of
   `metric NAME VALUE UNIT`, and `final_resident KIB`; it exits with 1 if a block is wrong. */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)
#define PAGE ((size_t)4096)
#define CACHE_LINE ((size_t)64)

static inline void fail(const char *what)
{
    dprintf(STDERR_FILENO, "failed: %s\n", what);
    _exit(1);
}

/* Arguments: words `key=value`. One that no call asks for is a mistake, which finish() reports. */

static char **arguments;
static int argument_count;
static uint64_t arguments_used;

static inline void workload_begin(int argc, char **argv)
{
    arguments = argv + 1;
    argument_count = argc - 1;
    if (argument_count > 64)
        fail("too many arguments");
}

static inline const char *argument_word(const char *key, const char *otherwise)
{
    size_t length = strlen(key);
    for (int i = 0; i < argument_count; i++)
        if (strncmp(arguments[i], key, length) == 0 && arguments[i][length] == '=') {
            arguments_used |= (uint64_t)1 << i;
            otherwise = arguments[i] + length + 1;
        }
    return otherwise;
}

static inline size_t argument(const char *key, size_t otherwise)
{
    const char *word = argument_word(key, NULL);
    if (!word)
        return otherwise;
    char *end;
    size_t value = strtoull(word, &end, 10);
    if (end == word || *end != '\0')
        fail("an argument is no number");
    return value;
}

/* The amount of work, multiplied by `scale` percent; never nothing. */
static inline size_t scaled(size_t work)
{
    size_t share = work * argument("scale", 100) / 100;
    return share ? share : 1;
}

/* Pseudo-random numbers: xorshift, a state for each thread, so that a run repeats exactly. */

static inline uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static inline uint64_t draw_seed(uint64_t number)
{
    uint64_t state = (number + 1) * 0x9e3779b97f4a7c15;
    for (int i = 0; i < 8; i++)
        draw(&state);
    return state;
}

/* Below `end`, which is at most 2^32. */
static inline size_t draw_below(uint64_t *state, size_t end)
{
    return (size_t)(((draw(state) >> 32) * end) >> 32);
}

/* A size in [least, most), both powers of two: each octave is as likely as any other. */
static inline size_t draw_size(uint64_t *state, size_t least, size_t most)
{
    int octaves = __builtin_ctzll(most) - __builtin_ctzll(least);
    size_t octave = least << draw_below(state, (size_t)octaves);
    return octave + draw_below(state, octave);
}

static inline void shuffle(void **block, size_t count, uint64_t *state)
{
    for (size_t i = count; i > 1; i--) {
        size_t other = draw_below(state, i);
        void *kept = block[other];
        block[other] = block[i - 1];
        block[i - 1] = kept;
    }
}

static inline uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* From statm, whose counters some kernels let lag behind by a few pages for each CPU: smaps_rollup is
   exact everywhere, but walks all pages, which would count as the allocator's time. */
static inline size_t resident_kib(void)
{
    char text[128];
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (length <= 0)
        fail("cannot read statm");
    close(file);
    text[length] = '\0';
    const char *resident = strchr(text, ' ');
    if (!resident)
        fail("no resident set in statm");
    return strtoull(resident, NULL, 10) * ((size_t)sysconf(_SC_PAGESIZE) / KIB);
}

/* Blocks carry a value in their first and last whole word, and between them in one word of each
   page, above 8 MiB of each 64th: two blocks that overlap cannot both keep theirs. Sizes are at
   least 8 bytes. */

static inline void *taken(void *block)
{
    if (!block)
        fail("an allocation returned NULL");
    return block;
}

static inline void *take(size_t size)
{
    return taken(malloc(size));
}

static inline size_t stride_words(size_t size)
{
    return (size <= 8 * MIB ? PAGE : 64 * PAGE) / 8;
}

static inline void stamp(void *block, size_t size, uint64_t value)
{
    uint64_t *word = (uint64_t *)block;
    size_t last = size / 8 - 1, stride = stride_words(size);
    for (size_t i = stride; i < last; i += stride)
        word[i] = value + i;
    word[last] = ~value;
    word[0] = value;
}

static inline void check_stamp(const void *block, size_t size, uint64_t value)
{
    const uint64_t *word = (const uint64_t *)block;
    size_t last = size / 8 - 1, stride = stride_words(size);
    for (size_t i = stride; i < last; i += stride)
        if (word[i] != value + i)
            fail("a block lost its contents");
    if (word[0] != value || (last != 0 && word[last] != ~value))
        fail("a block lost its first or last word");
}

/* A marked block tells its own size: its value is the size and, above it, 16 bits of a serial
   number. release() checks it, frees it, and returns a number to be added to the result. */

static inline void *take_marked(size_t size, uint64_t serial)
{
    void *block = take(size);
    stamp(block, size, serial << 48 | size);
    return block;
}

static inline size_t marked_size(const void *block)
{
    return *(const uint64_t *)block << 16 >> 16;
}

static inline uint64_t release(void *block)
{
    if (!block)
        return 0;
    uint64_t mark = *(uint64_t *)block;
    check_stamp(block, marked_size(block), mark);
    free(block);
    return (mark ^ mark >> 40) * 0x9e3779b97f4a7c15;
}

/* Threads. */

static inline void start(pthread_t *thread, void *(*body)(void *), void *argument)
{
    if (pthread_create(thread, NULL, body, argument) != 0)
        fail("cannot start a thread");
}

static inline void join(pthread_t thread)
{
    if (pthread_join(thread, NULL) != 0)
        fail("cannot join a thread");
}

/* Output, unbuffered: stdio's buffer would be one more block. */

static inline void metric(const char *name, double value, const char *unit)
{
    dprintf(STDOUT_FILENO, "metric %s %.3f %s\n", name, value, unit);
}

static inline int finish(uint64_t check)
{
    for (int i = 0; i < argument_count; i++)
        if (!(arguments_used >> i & 1) && strncmp(arguments[i], "scale=", 6) != 0)
            fail(arguments[i]);
    dprintf(STDOUT_FILENO, "check %016llx\nfinal_resident %zu\n", (unsigned long long)check, resident_kib());
    return 0;
}

#endif
