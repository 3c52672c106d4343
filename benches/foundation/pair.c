/*
 * One thread. `pair SIZE`: malloc and free of one block of SIZE bytes. `pair batch`: 1024 blocks
 * of 64 bytes taken, then freed in the order they were taken. `pair ring`: 4096 slots, one after
 * another in random order freed and filled with a block of 16 bytes to 32 KiB, small ones more
 * often. Writes the minimum and the median of nanoseconds per malloc and free.
 */
#include "clock.h"
#include <string.h>

enum { REPEATS = 40, PAIRS = 200 * 1024, BATCH = 1024, SLOTS = 4096, DRAWS = 65536 };

static void *volatile block;
static void *slots[SLOTS];
static struct { uint16_t slot, size; } order[DRAWS];

static void pairs(size_t size) {
    for (int i = 0; i < PAIRS; i++) {
        block = malloc(size);
        free(block);
    }
}

static void batches(void) {
    for (int i = 0; i < PAIRS / BATCH; i++) {
        for (int slot = 0; slot < BATCH; slot++) slots[slot] = malloc(64);
        for (int slot = 0; slot < BATCH; slot++) free(slots[slot]);
    }
}

static void ring(void) {
    for (int i = 0; i < PAIRS; i++) {
        void **slot = &slots[order[i % DRAWS].slot];
        free(*slot);
        *slot = malloc(order[i % DRAWS].size);
        *(volatile char *)*slot = 1;
    }
}

int main(int count, char **arguments) {
    if (count != 2) return 2;
    uint32_t state = 2463534242;
    for (int i = 0; i < DRAWS; i++) {
        uint32_t low = 16u << draw(&state) % 4 << draw(&state) % 4 << draw(&state) % 6;
        order[i].size = low + draw(&state) % low;
        order[i].slot = draw(&state) % SLOTS;
    }
    double figures[REPEATS];
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double start = now();
        if (!strcmp(arguments[1], "batch")) batches();
        else if (!strcmp(arguments[1], "ring")) ring();
        else pairs(atoi(arguments[1]));
        figures[repeat] = (now() - start) / PAIRS;
    }
    report(figures, REPEATS);
    return 0;
}
