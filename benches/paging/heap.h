/* Pages as a scripting language's heap has them: small objects with reference counts, types, hashes,
   pointers and short texts. Every byte is a function of the page's number and of how often it was
   written, so that whoever reads it can tell a page that is not the last one written.

   LZ4 makes about 2.5 of such pages into one. */
#ifndef HEAP_H
#define HEAP_H

#include "../workloads/workload.h"
#include <sys/resource.h>

enum { OBJECTS = 64, GROUPS = 32, GROUP_OBJECTS = OBJECTS / GROUPS };

struct object {
    uint64_t references, type, size, hash, next;
    char text[24];
};

_Static_assert(sizeof(struct object) * OBJECTS == 4096, "objects fill a page");

static inline uint64_t mixed(uint64_t word)
{
    word = (word ^ word >> 31) * 0x7fb5d329728ea185;
    word = (word ^ word >> 27) * 0x81dadef4bc2dd44d;
    return word ^ word >> 33;
}

/* Write number n renews the group n % GROUPS; this is the last write of `writes` that did. */
static inline uint32_t group_write(uint32_t writes, uint32_t group)
{
    return writes < group ? 0 : writes - (writes - group) % GROUPS;
}

static inline struct object object_of(uint32_t page, uint32_t number, uint32_t writes)
{
    static const char words[16][9] = {"name", "value", "self", "index", "result", "__init__", "key", "items",
                                      "length", "append", "path", "count", "__doc__", "data", "args", "update"};
    uint32_t write = group_write(writes, number / GROUP_OBJECTS);
    uint64_t drawn = mixed((uint64_t)page << 40 ^ (uint64_t)write << 8 ^ number);
    struct object object = {
        .references = 1 + (drawn % 8 == 0),
        .type = 0x55d0c0a01000 + drawn / 8 % 4 * 0x1a0,
        .size = drawn / 32 % 4 * 8,
        .hash = drawn / 128 % 8 < 3 ? mixed(drawn) : UINT64_MAX,
        .next = 0x7f3a80000000 + drawn / 512 % (1 << 21) * 64,
    };
    const char *word = words[drawn >> 32 & 15];
    memcpy(object.text, word, strlen(word));
    if (drawn >> 36 & 1)
        memcpy(object.text + 12, words[drawn >> 37 & 15], 8);
    if (number == 0) {
        object.references = writes;
        object.hash = page;
    }
    return object;
}

static inline void fill_page(void *memory, uint32_t page, uint32_t writes)
{
    struct object *object = memory;
    for (uint32_t number = 0; number < OBJECTS; number++)
        object[number] = object_of(page, number, writes);
}

/* The write that makes their number `writes`. */
static inline void write_page(void *memory, uint32_t page, uint32_t writes)
{
    struct object *object = memory;
    uint32_t first = writes % GROUPS * GROUP_OBJECTS;
    for (uint32_t number = first; number < first + GROUP_OBJECTS; number++)
        object[number] = object_of(page, number, writes);
    object[0] = object_of(page, 0, writes);
}

static inline void check_object(const void *memory, uint32_t page, uint32_t number, uint32_t writes)
{
    struct object expected = object_of(page, number, writes);
    if (memcmp((const struct object *)memory + number, &expected, sizeof expected) != 0)
        fail("a page is not as it was written");
}

static inline void check_page(const void *memory, uint32_t page, uint32_t writes)
{
    for (uint32_t number = 0; number < OBJECTS; number++)
        check_object(memory, page, number, writes);
}

/* The heap: pages in arenas, each an allocation, and how often each page was written. */

enum { ARENA_PAGES = 64, MOST_PAGES = 1 << 20 };

static unsigned char *arenas[MOST_PAGES / ARENA_PAGES];
static uint32_t writes[MOST_PAGES];

static inline void *page_at(size_t page)
{
    return arenas[page / ARENA_PAGES] + page % ARENA_PAGES * PAGE;
}

/* The pages of `mib`. */
static inline size_t take_heap(size_t mib)
{
    size_t pages = mib * MIB / PAGE;
    if (pages > MOST_PAGES)
        fail("mib");
    for (size_t page = 0; page < pages; page++) {
        if (page % ARENA_PAGES == 0)
            arenas[page / ARENA_PAGES] = taken(aligned_alloc(PAGE, ARENA_PAGES * PAGE));
        fill_page(page_at(page), (uint32_t)page, 0);
    }
    return pages;
}

static inline uint64_t check_heap(size_t pages)
{
    uint64_t check = 0;
    for (size_t page = 0; page < pages; page++) {
        check_page(page_at(page), (uint32_t)page, writes[page]);
        check = mixed(check ^ writes[page]);
    }
    return check;
}

/* Of all threads. */
static inline double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

#endif
