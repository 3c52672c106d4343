/* A heap of `mib` whose pages are read and written, half and half, in the order of `pattern`:

   uniform  any page
   zipf     page of rank r with a chance of r^-0.99, the ranks scattered over the heap
   scan     one after the other, again and again
   shift    any of `hot_mib`, which every `phase` accesses become other ones

   `accesses` are warm-up, and as many are timed: `access` is the wall time of one, `cpu` the seconds
   of all threads. What is read is checked, and at the end every byte is. */
#include "heap.h"

static size_t pages;

/* Walker's alias table: rank `r` is drawn itself with the chance `own[r]`, otherwise `other[r]` is. */
static float own[MOST_PAGES];
static uint32_t other[MOST_PAGES];

static double power(double base, double exponent)
{
    return __builtin_exp2(exponent * __builtin_log2(base));
}

static void prepare_zipf(void)
{
    static uint32_t poor[MOST_PAGES], rich[MOST_PAGES];
    static double share[MOST_PAGES];
    double sum = 0;
    for (size_t rank = 0; rank < pages; rank++)
        sum += share[rank] = power((double)rank + 1, -0.99);
    size_t poor_count = 0, rich_count = 0;
    for (size_t rank = 0; rank < pages; rank++) {
        share[rank] *= (double)pages / sum;
        if (share[rank] < 1)
            poor[poor_count++] = (uint32_t)rank;
        else
            rich[rich_count++] = (uint32_t)rank;
    }
    while (poor_count && rich_count) {
        uint32_t one = poor[--poor_count], two = rich[rich_count - 1];
        own[one] = (float)share[one];
        other[one] = two;
        share[two] -= 1 - share[one];
        if (share[two] < 1) {
            rich_count--;
            poor[poor_count++] = two;
        }
    }
    while (poor_count)
        own[poor[--poor_count]] = 1;
    while (rich_count)
        own[rich[--rich_count]] = 1;
}

static size_t draw_zipf(uint64_t *state)
{
    size_t rank = draw_below(state, pages);
    if ((double)(draw(state) >> 40) >= own[rank] * 0x1p24)
        rank = other[rank];
    /* A prime factor, so that each rank has a page of its own. */
    return rank * 1000003 % pages;
}

static char pattern;
static size_t hot, phase;

static void run(size_t begin, size_t end, uint64_t *state)
{
    for (size_t i = begin; i < end; i++) {
        size_t page;
        switch (pattern) {
        case 'z': page = draw_zipf(state); break;
        case 'u': page = draw_below(state, pages); break;
        case 's': page = i % pages; break;
        default: page = (i / phase * hot + draw_below(state, hot)) % pages;
        }
        void *memory = page_at(page);
        check_object(memory, (uint32_t)page, 0, writes[page]);
        uint64_t drawn = draw(state);
        if (drawn >> 63)
            write_page(memory, (uint32_t)page, ++writes[page]);
        else
            check_object(memory, (uint32_t)page, drawn >> 32 & (OBJECTS - 1), writes[page]);
    }
}

int main(int argc, char **argv)
{
    workload_begin(argc, argv);
    const char *word = argument_word("pattern", "uniform");
    pattern = strcmp(word, "shift") ? *word : 'h';
    hot = argument("hot_mib", 57) * MIB / PAGE;
    phase = scaled(argument("phase", 500000));
    size_t accesses = scaled(argument("accesses", 400000));
    uint64_t state = draw_seed(argument("seed", 0));
    uint64_t begin = now_ns();
    pages = take_heap(argument("mib", 192));
    uint64_t filled = now_ns();
    if (pattern == 'z')
        prepare_zipf();
    run(0, accesses, &state);
    double cpu = cpu_seconds();
    uint64_t warm = now_ns();
    run(accesses, 2 * accesses, &state);
    uint64_t end = now_ns();
    metric("access", (double)(end - warm) / (double)accesses, "ns");
    metric("cpu", cpu_seconds() - cpu, "s");
    metric("fill", (double)(filled - begin) / 1e9, "s");
    return finish(check_heap(pages));
}
