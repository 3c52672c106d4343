/* The cost of an operation as the live heap grows: a heap of `live_mib` is built, then random blocks
   of it are replaced. The number of operations does not depend on the size of the heap; what caches
   and address translation cost is the same for all allocators, what they add is not. */
#include "workload.h"

/* Of draw_size(): 1.5 times the least size of each octave, six octaves. */
enum { LEAST = 64, MOST = 4096, MEAN = (MOST - LEAST) * 3 / 2 / 6 };

int main(int argc, char **argv)
{
    workload_begin(argc, argv);
    size_t live_mib = argument("live_mib", 128), operations = scaled(argument("operations", 2000000));
    size_t slots = live_mib * MIB / MEAN + 1;
    void **slot = take(slots * sizeof *slot);
    uint64_t check = 0, state = draw_seed(0);
    for (size_t i = 0; i < slots; i++)
        slot[i] = take_marked(draw_size(&state, LEAST, MOST), i);
    uint64_t begin = now_ns();
    for (size_t i = 0; i < operations; i++) {
        void **place = &slot[draw_below(&state, slots)];
        check += release(*place);
        *place = take_marked(draw_size(&state, LEAST, MOST), i);
    }
    metric("operation", (double)(now_ns() - begin) / (double)operations, "ns");
    for (size_t i = 0; i < slots; i++)
        check += release(slot[i]);
    free(slot);
    return finish(check);
}
