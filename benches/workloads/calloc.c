/* Memory that must be zero.

   small: a ring of blocks of 16 B to 2 KiB, each checked to be zero and then dirtied, so that what
   comes back is dirty. huge: blocks of 1 to 64 MiB of which only sixteen pages are touched: whoever
   clears what the kernel has cleared already pays for all of it. */
#include "workload.h"

static uint64_t state;

static uint64_t *zeroed(size_t size)
{
    return taken(calloc(size / 8, 8));
}

static uint64_t small(size_t operations)
{
    enum { RING = 4096 };
    struct {
        uint64_t *words;
        size_t count;
    } ring[RING] = {0};
    uint64_t check = 0;
    for (size_t i = 0; i < operations + RING; i++) {
        size_t at = i % RING;
        for (size_t word = 0; word < ring[at].count; word++)
            check += ring[at].words[word];
        free(ring[at].words);
        ring[at].words = NULL;
        ring[at].count = 0;
        if (i >= operations)
            continue;
        size_t size = draw_size(&state, 16, 2048) & ~(size_t)7;
        ring[at].words = zeroed(size);
        ring[at].count = size / 8;
        for (size_t word = 0; word < size / 8; word++) {
            if (ring[at].words[word] != 0)
                fail("calloc gave memory that is not zero");
            ring[at].words[word] = i;
        }
    }
    return check;
}

static uint64_t huge(size_t operations)
{
    enum { TOUCHED = 16 };
    uint64_t check = 0;
    for (size_t i = 0; i < operations; i++) {
        size_t size = draw_size(&state, MIB, 64 * MIB) & ~(size_t)7;
        uint64_t *words = zeroed(size);
        for (size_t j = 0; j < TOUCHED; j++) {
            size_t word = draw_below(&state, size / 8);
            if (words[word] >> 32 != 0)
                fail("calloc gave memory that is not zero");
            check += words[word] = word;
        }
        free(words);
    }
    return check;
}

int main(int argc, char **argv)
{
    workload_begin(argc, argv);
    const char *mode = argument_word("mode", "small");
    int is_small = strcmp(mode, "small") == 0;
    if (!is_small && strcmp(mode, "huge") != 0)
        fail("mode is small or huge");
    size_t operations = scaled(argument("operations", is_small ? 6000000 : 600));
    state = draw_seed(0);
    return finish(is_small ? small(operations) : huge(operations));
}
