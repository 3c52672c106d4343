/* What the programs of this folder share. Exit status 77 means: this machine cannot test it. */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

/* Ends the program, naming the condition, unless it holds. Allocates nothing. */
#define CHECK(condition) \
    ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition, errno))

static inline void check_failed(const char *file, int line, const char *condition, int error)
{
    char text[500];
    snprintf(text, sizeof text, "%s:%d: not so: %s (errno %d)\n", file, line, condition, error);
    _exit(write(2, text, strlen(text)) > 0 ? 1 : 2);
}

static inline void skip(const char *reason)
{
    dprintf(2, "SKIPPED: %s\n", reason);
    _exit(77);
}

/* The bytes of this process that are in memory. Allocates nothing. */
static inline size_t resident_bytes(void)
{
    char text[200] = "";
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        skip("no /proc/self/statm");
    CHECK(read(file, text, sizeof text - 1) > 0 && close(file) == 0);
    return strtoull(strchr(text, ' '), NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

/* The same once everything has been given back that may be: what is kept for speed is no leak. */
static inline size_t resident_after_trim(void)
{
    malloc_trim(0);
    return resident_bytes();
}

/* A number that the run's environment gives, or `otherwise`. */
static inline size_t setting(const char *name, size_t otherwise)
{
    const char *value = getenv(name);
    return value ? strtoull(value, NULL, 10) : otherwise;
}

static inline void fill(void *block, size_t size, int seed)
{
    memset(block, seed, size);
}

/* Whether `block` still holds what fill wrote. */
static inline int holds(const void *block, size_t size, int seed)
{
    const unsigned char *byte = (const unsigned char *)block;
    return size == 0 || (byte[0] == (unsigned char)seed && memcmp(byte, byte + 1, size - 1) == 0);
}

/* xorshift; a state of 0 stays 0. */
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

/* A size such as programs ask for: mostly small, now and then up to `most`. */
static inline size_t random_size(uint64_t *state, size_t most)
{
    size_t limit = 16;
    for (uint64_t bits = next_random(state); (bits & 1) && limit < most; bits >>= 1)
        limit *= 2;
    return next_random(state) % (limit < most ? limit : most) + 1;
}

#endif
