/* Large blocks of `from_kib` to `to_kib`, each octave as likely as the next. Every page is written,
   above 8 MiB every 64th.

   kept: `live` blocks, of which a random one is replaced each time. churned: `live` blocks are
   allocated one after the other, then all are freed, and again. */
#include "workload.h"

int main(int argc, char **argv)
{
    workload_begin(argc, argv);
    size_t from = argument("from_kib", 32) * KIB, to = argument("to_kib", 8192) * KIB;
    size_t live = argument("live", 16);
    const char *mode = argument_word("mode", "kept");
    int kept = strcmp(mode, "kept") == 0;
    if (!kept && strcmp(mode, "churned") != 0)
        fail("mode is kept or churned");
    if (from == 0 || to <= from || from & (from - 1) || to & (to - 1))
        fail("from_kib and to_kib are powers of two");
    size_t operations = scaled(argument("operations", to > 8 * MIB ? 400 : kept ? 6000 : 1500));
    void **slot = taken(calloc(live, sizeof *slot));
    uint64_t check = 0, state = draw_seed(0), begin = now_ns();
    for (size_t i = 0; i < operations; i++) {
        size_t at = kept ? draw_below(&state, live) : i % live;
        if (!kept && at == 0)
            for (size_t j = 0; j < live; j++) {
                check += release(slot[j]);
                slot[j] = NULL;
            }
        check += release(slot[at]);
        slot[at] = take_marked(draw_size(&state, from, to), i);
    }
    metric("operation", (double)(now_ns() - begin) / (double)operations, "ns");
    for (size_t j = 0; j < live; j++)
        check += release(slot[j]);
    free(slot);
    return finish(check);
}
