/* A heap of `mib` that is written once, of which `hot_percent` are then worked on: read and written
   at random, with blocks of other sizes that come and go. The rest is not touched again until the
   end, where every byte is checked. The warm-up is as long as what is timed. `operation` is the wall
   time of one, `cpu` the seconds of all threads. */
#include "heap.h"

enum { BLOCKS = 4096 };

static void *blocks[BLOCKS];

static uint64_t work(size_t operations, size_t hot, uint64_t *state)
{
    uint64_t check = 0;
    for (size_t i = 0; i < operations; i++) {
        size_t page = draw_below(state, hot);
        check_object(page_at(page), (uint32_t)page, 0, writes[page]);
        write_page(page_at(page), (uint32_t)page, ++writes[page]);
        void **block = &blocks[draw_below(state, BLOCKS)];
        check += release(*block);
        *block = take_marked(draw_size(state, 32, 2048), i);
    }
    return check;
}

int main(int argc, char **argv)
{
    workload_begin(argc, argv);
    size_t pages = take_heap(argument("mib", 500));
    size_t hot = pages * argument("hot_percent", 20) / 100;
    size_t operations = scaled(argument("operations", 4000000));
    uint64_t state = draw_seed(argument("seed", 0));
    uint64_t check = work(operations, hot, &state);
    double cpu = cpu_seconds();
    uint64_t begin = now_ns();
    check += work(operations, hot, &state);
    metric("operation", (double)(now_ns() - begin) / (double)operations, "ns");
    metric("cpu", cpu_seconds() - cpu, "s");
    for (size_t i = 0; i < BLOCKS; i++)
        check += release(blocks[i]);
    return finish(check + check_heap(pages));
}
