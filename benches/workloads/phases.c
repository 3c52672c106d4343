/* Phases that fragment a heap: it is filled to `mib`, nine tenths of the blocks are freed at random,
   it is filled again with blocks of other sizes, and so on; at the end all are freed, and for two
   seconds the program only makes a small request each 10 ms.

   `integral_mib` is resident memory averaged over the work: it is sampled after equal shares of the
   bytes allocated and of the blocks freed, so it does not depend on speed. `after` is what stays
   resident after the two seconds. */
#include "workload.h"
#include <sys/mman.h>

enum { KINDS = 6, SAMPLES = 8, KEPT = 10 }; /* samples of each filling and of each freeing */

static const size_t least[KINDS] = {16, 256, 64, 4096, 32, 512};
static const size_t most[KINDS] = {128, 2048, 512, 65536, 1024, 8192};

static void **block;
static size_t blocks, live_bytes, samples;
static uint64_t state, check;
static double resident_mib;

static void sample(void)
{
    resident_mib += (double)resident_kib() / 1024;
    samples++;
}

static void fill(size_t bytes, size_t kind)
{
    size_t share = (bytes - live_bytes) / SAMPLES, next = live_bytes + share;
    for (; live_bytes < bytes; blocks++) {
        size_t size = draw_size(&state, least[kind], most[kind]);
        block[blocks] = take_marked(size, blocks);
        live_bytes += size;
        if (live_bytes >= next) {
            sample();
            next += share;
        }
    }
}

/* Of `KEPT` blocks one is kept, or none; those that are kept move together in the table. */
static void thin_out(int keep)
{
    size_t all = blocks, share = all / SAMPLES + 1;
    blocks = 0;
    for (size_t i = 0; i < all; i++) {
        if (keep && draw_below(&state, KEPT) == 0) {
            block[blocks++] = block[i];
        } else {
            live_bytes -= marked_size(block[i]);
            check += release(block[i]);
        }
        if ((i + 1) % share == 0 || i + 1 == all)
            sample();
    }
}

int main(int argc, char **argv)
{
    workload_begin(argc, argv);
    size_t bytes = argument("mib", 64) * MIB, phases = scaled(argument("phases", 20));
    /* Not from the heap, whose memory is what is measured. */
    size_t table = bytes / least[0] * sizeof *block;
    block = mmap(NULL, table, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED)
        fail("no memory for the table");
    state = draw_seed(0);
    for (size_t phase = 0; phase < phases; phase++) {
        fill(bytes, phase % KINDS);
        thin_out(phase + 1 < phases);
    }
    munmap(block, table);
    metric("integral_mib", resident_mib / (double)samples, "MiB");
    for (uint64_t i = 0, end = now_ns() + 2000000000; now_ns() < end; i++) {
        release(take_marked(64, i));
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    metric("after", (double)resident_kib(), "KiB");
    return finish(check);
}
