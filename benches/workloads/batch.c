/* A batch of blocks of one size is allocated, then freed in the order of allocation, in reverse, or
   shuffled: what refilling and returning cost when a free list is drained and filled again.

   Each repeat is at least 100,000 pairs; the metric is the least mean of all repeats. */
#include "workload.h"

static void set_order(size_t *turn, size_t blocks, const char *order)
{
    uint64_t state = draw_seed(0);
    for (size_t i = 0; i < blocks; i++)
        turn[i] = strcmp(order, "reverse") == 0 ? blocks - 1 - i : i;
    if (strcmp(order, "shuffled") == 0)
        for (size_t i = blocks; i > 1; i--) {
            size_t other = draw_below(&state, i), kept = turn[other];
            turn[other] = turn[i - 1];
            turn[i - 1] = kept;
        }
    else if (strcmp(order, "in-order") != 0 && strcmp(order, "reverse") != 0)
        fail("order is in-order, reverse or shuffled");
}

int main(int argc, char **argv)
{
    workload_begin(argc, argv);
    size_t size = argument("size", 64), blocks = argument("blocks", 1024);
    size_t repeats = scaled(argument("repeats", 500)), rounds = (100000 + blocks - 1) / blocks;
    void **block = take(blocks * sizeof *block);
    size_t *turn = take(blocks * sizeof *turn);
    set_order(turn, blocks, argument_word("order", "in-order"));
    uint64_t check = 0, least = UINT64_MAX;
    for (size_t repeat = 0; repeat < repeats; repeat++) {
        uint64_t begin = now_ns();
        for (size_t round = 0; round < rounds; round++) {
            for (size_t i = 0; i < blocks; i++) {
                uint64_t *words = block[i] = take(size);
                words[0] = i + round;
            }
            for (size_t i = 0; i < blocks; i++) {
                check += *(uint64_t *)block[turn[i]];
                free(block[turn[i]]);
            }
        }
        uint64_t elapsed = now_ns() - begin;
        if (elapsed < least)
            least = elapsed;
    }
    metric("pair", (double)least / (double)(rounds * blocks), "ns");
    for (size_t i = 0; i < blocks; i++)
        block[i] = take_marked(size, i);
    for (size_t i = 0; i < blocks; i++)
        check += release(block[turn[i]]);
    free(turn);
    free(block);
    return finish(check);
}
