/* A loop of malloc and free of one size: the shortest way through an allocator.

   Each repeat is 100,000 pairs; the metric is the least mean of all repeats, which is what the
   path costs when nothing disturbs it. */
#include "workload.h"

int main(int argc, char **argv)
{
    enum { PAIRS = 100000 };
    workload_begin(argc, argv);
    size_t size = argument("size", 64), repeats = scaled(argument("repeats", 700));
    uint64_t check = 0, least = UINT64_MAX;
    for (size_t repeat = 0; repeat < repeats; repeat++) {
        uint64_t begin = now_ns();
        for (uint64_t i = 0; i < PAIRS; i++) {
            uint64_t *block = take(size);
            *block = i;
            free(block);
        }
        uint64_t elapsed = now_ns() - begin;
        if (elapsed < least)
            least = elapsed;
        void *block = take(size);
        stamp(block, size, repeat);
        check_stamp(block, size, repeat);
        free(block);
        check += PAIRS + repeat;
    }
    metric("pair", (double)least / PAIRS, "ns");
    return finish(check);
}
