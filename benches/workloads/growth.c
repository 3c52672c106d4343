/* A heap that grows to `mib` of small blocks as fast as it can, and then ends. Each block is written
   in full, so the page faults are those of the data and of what the allocator adds: `faults` counts
   them up to the peak, and `resident` is what they brought. */
#include "workload.h"
#include <sys/resource.h>

struct node {
    struct node *next;
    uint64_t words, value[];
};

static size_t faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (size_t)usage.ru_minflt;
}

int main(int argc, char **argv)
{
    workload_begin(argc, argv);
    size_t bytes = scaled(argument("mib", 384)) * MIB, grown = 0, before = faults();
    uint64_t check = 0, state = draw_seed(0);
    struct node *newest = NULL;
    while (grown < bytes) {
        size_t size = draw_size(&state, 32, 512);
        struct node *node = take(size);
        node->next = newest;
        node->words = (size - sizeof *node) / 8;
        for (size_t i = 0; i < node->words; i++)
            node->value[i] = grown;
        newest = node;
        grown += size;
    }
    metric("faults", (double)(faults() - before), "faults");
    metric("resident", (double)resident_kib(), "KiB");
    while (newest) {
        struct node *node = newest;
        for (size_t i = 0; i < node->words; i++)
            if (node->value[i] != node->value[0])
                fail("a block lost its contents");
        check += node->words ? node->value[0] : 0;
        newest = node->next;
        free(node);
    }
    return finish(check);
}
