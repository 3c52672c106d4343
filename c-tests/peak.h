/* A peak of 1 GiB in blocks of SIZE bytes, freed in random order but for LIVE runs of 4 MiB each.
   The list of blocks lives outside the heap. */
#include "check.h"
#include <sys/mman.h>
#include <time.h>

static size_t start_bytes, live_bytes;

static inline void raise_and_free_peak(void)
{
    size_t size = setting("SIZE", 1000), runs = setting("LIVE", 0), count = GIB / size;
    size_t per_run = 4 * MIB / size, live = runs * per_run, list_bytes = count * sizeof(void *);
    uint64_t seed = 20260711;
    free(malloc(size));
    start_bytes = resident_bytes();
    void **block = mmap(NULL, list_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(block != MAP_FAILED);
    for (size_t i = 0; i < count; i++) {
        CHECK((block[i] = malloc(size)) != NULL);
        fill(block[i], size, 1);
    }
    CHECK(resident_bytes() >= start_bytes + count * size);
    /* The live runs lie evenly in the order of allocation; they leave the list. */
    size_t left = 0;
    for (size_t i = 0; i < count; i++)
        if (runs == 0 || i % (count / runs) >= per_run || i / (count / runs) >= runs)
            block[left++] = block[i];
    CHECK(left == count - live);
    for (size_t i = left - 1; i > 0; i--) {
        size_t other = next_random(&seed) % (i + 1);
        void *swap = block[i];
        block[i] = block[other];
        block[other] = swap;
    }
    for (size_t i = 0; i < left; i++)
        free(block[i]);
    munmap(block, list_bytes);
    live_bytes = live * size;
}

static inline void sleep_milliseconds(long count)
{
    struct timespec time = {count / 1000, count % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* What stays resident beyond the start is at most `percent` of the live bytes and `extra`. */
static inline void check_resident(size_t percent, size_t extra)
{
    size_t now = resident_bytes(), beyond = now > start_bytes ? now - start_bytes : 0;
    printf("live %zu KiB, resident %zu KiB\n", live_bytes / KIB, beyond / KIB);
    fflush(stdout);
    CHECK(beyond <= live_bytes * percent / 100 + extra);
}
