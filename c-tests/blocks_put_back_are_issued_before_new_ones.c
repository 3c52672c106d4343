/* expect: exit 0
   under: GLEBE_SAMPLE=0
   Every hundredth of many blocks is freed, some of each used-up slab: the next as many are these,
   but for the rest of a slab or two, again and again; alone, and while another thread lives. */
#include "check.h"
#include <pthread.h>

enum { BLOCKS = 200000, EACH = 100, FREED = BLOCKS / EACH, OF_A_SLAB = 64 * KIB / 48 };

static char *block[BLOCKS], *freed[FREED];
static int new_ones;

static int by_address(const void *a, const void *b)
{
    char *const *one = a, *const *other = b;
    return (*one > *other) - (*one < *other);
}

static void free_some_and_allocate_again(int first)
{
    for (int i = 0; i < FREED; i++) {
        freed[i] = block[i * EACH + first];
        free(freed[i]);
    }
    qsort(freed, FREED, sizeof *freed, by_address);
    for (int i = 0; i < FREED; i++) {
        char *issued = malloc(48);
        new_ones += bsearch(&issued, freed, FREED, sizeof *freed, by_address) == NULL;
        block[i * EACH + first] = memset(issued, 1, 48);
    }
}

static pthread_barrier_t barrier;

static void *live(void *unused)
{
    free(malloc(48));
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return unused;
}

int main(void)
{
    for (int i = 0; i < BLOCKS; i++)
        block[i] = memset(malloc(48), 1, 48);
    for (int round = 0; round < 5; round++)
        free_some_and_allocate_again(round * 7);

    pthread_t thread;
    CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, live, NULL) == 0);
    pthread_barrier_wait(&barrier);
    for (int round = 0; round < 5; round++)
        free_some_and_allocate_again(50 + round * 7);
    pthread_barrier_wait(&barrier);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(new_ones <= 2 * OF_A_SLAB);
    for (int i = 0; i < BLOCKS; i++)
        free(block[i]);
    return 0;
}
