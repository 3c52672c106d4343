/* A live set of blocks of many sizes, most of them small; each operation frees a random one and
   allocates another in its place, so that blocks of all ages lie side by side.

   Of sixteen blocks one is of 1 KiB to `largest`, the others of 16 B to 1 KiB, each octave as likely
   as the next. At the default `largest`, both kinds hold about as many bytes. */
#include "workload.h"

enum { LEAST = 16, SMALL = 1024 };

static size_t largest;

static void *replacement(uint64_t *state, size_t serial)
{
    int small = largest <= SMALL || draw(state) >> 60 != 0;
    return take_marked(small ? draw_size(state, LEAST, SMALL) : draw_size(state, SMALL, largest), serial);
}

/* Of draw_size(): in each octave 1.5 times its least size. */
static double mean_size(size_t least, size_t most)
{
    return 1.5 * (double)(most - least) / __builtin_ctzll(most / least);
}

int main(int argc, char **argv)
{
    workload_begin(argc, argv);
    size_t live_mib = argument("live_mib", 64), operations = scaled(argument("operations", 4000000));
    largest = argument("largest", 32 * KIB);
    if (largest < SMALL || largest & (largest - 1))
        fail("largest is a power of two, at least 1024");
    double mean = mean_size(LEAST, SMALL);
    if (largest > SMALL)
        mean = mean * 15 / 16 + mean_size(SMALL, largest) / 16;
    size_t slots = (size_t)((double)(live_mib * MIB) / mean) + 1;
    void **slot = take(slots * sizeof *slot);
    uint64_t check = 0, state = draw_seed(0);
    for (size_t i = 0; i < slots; i++)
        slot[i] = replacement(&state, i);
    uint64_t begin = now_ns();
    for (size_t i = 0; i < operations; i++) {
        size_t at = draw_below(&state, slots);
        check += release(slot[at]);
        slot[at] = replacement(&state, i);
    }
    metric("operation", (double)(now_ns() - begin) / (double)operations, "ns");
    for (size_t i = 0; i < slots; i++)
        check += release(slot[i]);
    free(slot);
    return finish(check);
}
