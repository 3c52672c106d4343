/* expect: exit 0
   modes: link preload static
   under: GLEBE_SAMPLE=100000
   Without a free slot others serve. A freed block's page is not reused before those of all that
   were freed earlier. */
#include "check.h"

#define BLOCKS 300
#define BYTES ((size_t)1001)

/* A sampled block has as many usable bytes as were asked for; no class of others has 1001. */
static int is_sampled(void *block)
{
    return malloc_usable_size(block) == BYTES;
}

int main(void)
{
    static char *block[BLOCKS];
    for (int round = 0; round < 5; round++) {
        int sampled = 0;
        for (int i = 0; i < BLOCKS; i++) {
            CHECK((block[i] = malloc(BYTES)) && (uintptr_t)block[i] % 16 == 0);
            fill(block[i], BYTES, i);
            sampled += is_sampled(block[i]);
        }
        CHECK(sampled > 64 && sampled <= 128);
        for (int i = 0; i < BLOCKS; i++) {
            CHECK(holds(block[i], BYTES, i));
            free(block[i]);
        }
    }
    char *first = malloc(BYTES);
    CHECK(is_sampled(first));
    free(first);
    uintptr_t page = (uintptr_t)first / 4096;
    for (int i = 0; i < 60; i++) {
        char *other = malloc(BYTES);
        CHECK(is_sampled(other) && (uintptr_t)other / 4096 != page);
        free(other);
    }
    return 0;
}
