/* What the programs about a heap under a budget share. Contents are a function of a seed and of their
   place, so a page that comes back elsewhere, or as it was earlier, is found out. Without GLEBE_BUDGET
   the programs run all the same: that shows that they ask nothing wrong of any malloc. */
#ifndef PAGED_H
#define PAGED_H

#include "check.h"
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PAGE ((size_t)4096)

/* The budget in bytes; 0 without one. Also right where the environment has been emptied since. */
static inline size_t budget(void)
{
    static size_t bytes = SIZE_MAX;
    if (bytes == SIZE_MAX) {
        const char *text = getenv("GLEBE_BUDGET");
        char *unit = NULL;
        size_t count = text ? strtoull(text, &unit, 10) : 0;
        bytes = count == 0 ? 0 : count * (*unit == 'G' ? GIB : *unit == 'M' ? MIB : *unit == 'K' ? KIB : 1);
    }
    return bytes;
}

/* Whether this process may have faults of the kernel served, and pages moved. */
static inline int may_page(void)
{
    struct { uint64_t api, features, ioctls; } api = {0xAA, 1 << 16 /* UFFD_FEATURE_MOVE */, 0};
    int file = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    if (file < 0) {
        int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
        file = device < 0 ? -1 : ioctl(device, _IO(0xAA, 0x00), O_CLOEXEC);
        close(device);
    }
    int may = file >= 0 && ioctl(file, _IOWR(0xAA, 0x3F, api), &api) == 0;
    close(file);
    errno = 0;
    return may;
}

/* First of all in main: ends the program where the budget cannot be had. */
static inline void start_paged(void)
{
    if (budget() && !may_page())
        skip("no budget without full userfaultfd and UFFDIO_MOVE");
}

/* What is `times` the budget, or 1/8 of that for the proof that any malloc does. */
static inline size_t budgets(size_t times)
{
    return budget() ? times * budget() : times * 4 * MIB;
}

static inline uint64_t mixed(uint64_t word)
{
    word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9;
    word = (word ^ word >> 27) * 0x94d049bb133111eb;
    return word ^ word >> 31;
}

/* The word at `place`, a multiple of 8. The pages of an object differ in kind: zeroes, one word
   repeated, compressible, and one in 16 random. */
static inline uint64_t painted_word(uint64_t seed, size_t place)
{
    uint64_t page = mixed(seed + place / PAGE * 0x9e3779b97f4a7c15);
    uint64_t kind = page >> 60;
    return kind < 4    ? 0
           : kind < 8  ? (uint32_t)page * 0x100000001
           : kind < 15 ? mixed(page + place / 128) & 0xff00ff
                       : mixed(page + place);
}

/* Writes the bytes from `place` to `place + size` of the object at `object`. */
static inline void paint_part(void *object, size_t place, size_t size, uint64_t seed)
{
    unsigned char *byte = (unsigned char *)object + place;
    for (size_t done = 0; done < size; done += 8) {
        uint64_t word = painted_word(seed, place + done);
        memcpy(byte + done, &word, size - done < 8 ? size - done : 8);
    }
}

static inline void paint(void *object, size_t size, uint64_t seed)
{
    paint_part(object, 0, size, seed);
}

/* Whether those bytes are as paint_part wrote them; if not, says what is there. Allocates nothing. */
static inline int painted_part(const void *object, size_t place, size_t size, uint64_t seed)
{
    const unsigned char *byte = (const unsigned char *)object + place;
    for (size_t done = 0; done < size; done += 8) {
        size_t length = size - done < 8 ? size - done : 8;
        uint64_t right = painted_word(seed, place + done), found = 0;
        memcpy(&found, byte + done, length);
        if (memcmp(&found, &right, length) == 0)
            continue;
        dprintf(2, "process %d: %p, %zu bytes into an object: %016llx instead of %016llx\n", getpid(),
                (const void *)(byte + done), place + done, (unsigned long long)found, (unsigned long long)right);
        return 0;
    }
    return 1;
}

static inline int painted(const void *object, size_t size, uint64_t seed)
{
    return painted_part(object, 0, size, seed);
}

/* A painted object; its description lies outside the heap. */
struct Painted {
    unsigned char *start;
    size_t size;
    uint64_t seed;
};

static inline struct Painted repaint(struct Painted object, unsigned version)
{
    object.seed = (uintptr_t)object.start + version;
    paint(object.start, object.size, object.seed);
    return object;
}

static inline struct Painted make_painted(size_t size, unsigned version)
{
    struct Painted object = {(unsigned char *)malloc(size), size, 0};
    CHECK(object.start != NULL);
    return repaint(object, version);
}

static inline void check_painted(const struct Painted *object)
{
    CHECK(painted(object->start, object->size, object->seed));
}

static inline void free_painted(struct Painted *object)
{
    check_painted(object);
    free(object->start);
    *object = (struct Painted){NULL, 0, 0};
}

/* 16 bytes to 1 MiB: many small ones, and most bytes in large ones. */
static inline size_t mixed_size(uint64_t *random)
{
    unsigned bits = next_random(random) % 16 ? 4 + next_random(random) % 7 : 11 + next_random(random) % 9;
    return ((size_t)1 << bits) + next_random(random) % ((size_t)1 << bits);
}

/* Painted objects of mixed sizes up to `bytes` together, at most `most` of them; how many. */
static inline size_t make_set(struct Painted *set, size_t most, size_t bytes, uint64_t *random, unsigned version)
{
    size_t count = 0;
    for (size_t made = 0; made < bytes && count < most; made += set[count++].size)
        set[count] = make_painted(mixed_size(random), version);
    return count;
}

static inline void shuffle(struct Painted *set, size_t count, uint64_t *random)
{
    for (size_t i = count; i > 1; i--) {
        size_t other = next_random(random) % i;
        struct Painted swap = set[i - 1];
        set[i - 1] = set[other];
        set[other] = swap;
    }
}

/* How many whole pages of an object are not in memory. */
static inline size_t absent_pages(const void *object, size_t size)
{
    static __thread unsigned char present[4096];
    uintptr_t next = ((uintptr_t)object + PAGE - 1) & -PAGE, end = ((uintptr_t)object + size) & -PAGE;
    size_t absent = 0;
    while (next < end) {
        size_t pages = (end - next) / PAGE < sizeof present ? (end - next) / PAGE : sizeof present;
        CHECK(mincore((void *)next, pages * PAGE, present) == 0);
        for (size_t i = 0; i < pages; i++)
            absent += !(present[i] & 1);
        next += pages * PAGE;
    }
    return absent;
}

/* Touches three budgets of other memory, so that what has lain idle is not in memory any more. */
static inline void push_out(void)
{
    static unsigned char *ballast;
    size_t size = 3 * budget();
    if (size == 0)
        return;
    if (ballast == NULL)
        CHECK((ballast = (unsigned char *)malloc(size)) != NULL);
    for (size_t place = 0; place < size; place += PAGE)
        memset(ballast + place, ballast[place] + 1, PAGE);
}

/* The same, and proof that half of `object` is out. */
static inline void push_out_object(const void *object, size_t size)
{
    push_out();
    CHECK(budget() == 0 || absent_pages(object, size) >= (size / PAGE - 1) / 2);
}

/* The process is as large as its budget allows; what is not heap has 24 MiB. */
static inline void check_budget_is_kept(void)
{
    size_t resident = resident_bytes();
    if (budget() && resident > budget() + 24 * MIB) {
        dprintf(2, "%zu KiB resident, budget %zu KiB\n", resident / KIB, budget() / KIB);
        malloc_stats();
        CHECK(!"the budget is kept");
    }
}

/* What the child of a fork ended with: its exit status, or 128 and the signal. */
static inline int status_of(pid_t child)
{
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#endif
