/*
 * The paths whose instructions are counted, for callgrind. Each path is one step that is taken
 * WARM_UP times, so that caches and tables are as in a loop that has run for a while, and then
 * CALLS times inside of `measured`, where callgrind starts from zero on entry and writes what it
 * counted on return. Writes one line for each path, in order: the number of calls and its name.
 * Given a name, it takes the first path of that name alone.
 *
 * What is counted is called through a door_… function, by whose name instructions inside of
 * malloc are told from those inside of free; steps call other functions directly.
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <malloc.h>
#include <new>
#include <pthread.h>

enum { WARM_UP = 256, CALLS = 1024 };

extern "C" {
void *door_malloc(size_t bytes) { return malloc(bytes); }
void door_free(void *block) { free(block); }
void *door_calloc(size_t count, size_t bytes) { return calloc(count, bytes); }
void *door_realloc(void *block, size_t bytes) { return realloc(block, bytes); }
void *door_new(size_t bytes) { return operator new(bytes); }
void door_delete(void *block) { operator delete(block); }
void *door_aligned_alloc(size_t alignment, size_t bytes) { return aligned_alloc(alignment, bytes); }
size_t door_malloc_usable_size(void *block) { return malloc_usable_size(block); }
}

template <size_t BYTES> static void pair() { door_free(door_malloc(BYTES)); }

static void *resized;

/* Blocks of a thread that lives: fewer than a slab holds, so that it stays the owner's. */
static void *foreign[WARM_UP + CALLS];
static size_t freed;
static pthread_barrier_t barrier;

static void *owner(void *) {
    for (void *&block : foreign) block = malloc(16);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return nullptr;
}

static const struct Path {
    const char *name;
    void (*step)();
} paths[] = {
    {"16 B", pair<16>},
    {"256 B", pair<256>},
    {"1 KiB", pair<1024>},
    {"8 KiB", pair<8 << 10>},
    {"64 KiB", pair<64 << 10>},
    {"64 B", [] { free(door_calloc(1, 64)); }},
    {"64 B in place", [] { resized = door_realloc(resized, 60); }},
    {"16 B", [] { door_delete(door_new(16)); }},
    {"64 B at 64", [] { free(door_aligned_alloc(64, 64)); }},
    {"64 B", [] { door_malloc_usable_size(resized); }},
    {"16 B of another thread", [] { door_free(foreign[freed++]); }},
};

extern "C" void measured(void (*step)()) {
    for (int call = 0; call < CALLS; call++) step();
}

int main(int count, char **arguments) {
    const Path *first = std::begin(paths), *end = std::end(paths);
    if (count > 1) {
        while (first != end && strcmp(first->name, arguments[1])) first++;
        if (first != end) end = first + 1;
    }
    resized = malloc(64);
    pthread_t thread;
    pthread_barrier_init(&barrier, nullptr, 2);
    if (!resized || pthread_create(&thread, nullptr, owner, nullptr)) return 1;
    pthread_barrier_wait(&barrier);
    for (const Path *path = first; path != end; path++) {
        for (int call = 0; call < WARM_UP; call++) path->step();
        measured(path->step);
    }
    pthread_barrier_wait(&barrier);
    pthread_join(thread, nullptr);
    for (const Path *path = first; path != end; path++) printf("%d %s\n", CALLS, path->name);
    return 0;
}
