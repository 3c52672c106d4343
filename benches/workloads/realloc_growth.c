/* Vectors that grow by realloc until each holds `upto_mib`, several in turn, so that one's growth
   stands in the way of the next: half of them by half their size at a time, half by a fixed step.
   A word of each page is written as soon as it is there, and read at the end. */
#include "workload.h"

enum { VECTORS = 4, STEPS = 64, WRITTEN = PAGE / 8 };

struct vector {
    uint64_t *words;
    size_t size; /* bytes */
};

static uint64_t value(size_t vector, size_t word)
{
    return (vector + 1) * 0x9e3779b97f4a7c15 ^ word;
}

static void grow(struct vector *vector, size_t number, size_t size)
{
    size_t word = (vector->size / 8 + WRITTEN - 1) / WRITTEN * WRITTEN;
    vector->words = taken(realloc(vector->words, size));
    vector->size = size;
    for (; word < size / 8; word += WRITTEN)
        vector->words[word] = value(number, word);
}

static uint64_t check_and_free(struct vector *vector, size_t number)
{
    uint64_t sum = 0;
    for (size_t word = 0; word < vector->size / 8; word += WRITTEN) {
        if (vector->words[word] != value(number, word))
            fail("a vector lost its contents");
        sum += vector->words[word];
    }
    free(vector->words);
    return sum;
}

int main(int argc, char **argv)
{
    workload_begin(argc, argv);
    size_t upto = argument("upto_mib", 64) * MIB, rounds = scaled(argument("rounds", 5));
    uint64_t check = 0;
    for (size_t round = 0; round < rounds; round++) {
        struct vector vector[VECTORS] = {0};
        for (size_t growing = VECTORS; growing != 0;) {
            growing = 0;
            for (size_t i = 0; i < VECTORS; i++) {
                size_t size = vector[i].size, more = i % 2 ? upto / STEPS : size / 16 * 8;
                if (size >= upto)
                    continue;
                size += more < 32 ? 32 : more;
                grow(&vector[i], i, size < upto ? size : upto);
                growing++;
            }
        }
        for (size_t i = 0; i < VECTORS; i++)
            check += check_and_free(&vector[i], i);
    }
    return finish(check);
}
