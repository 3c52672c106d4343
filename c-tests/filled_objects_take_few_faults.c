/* expect: exit 0
   modes: preload
   library: shipped
   under: GLEBE_HUGE_PAGES=auto
   Blocks that a program fills get huge pages, on a machine that has them for who asks, and no slower
   than small ones: far fewer faults than pages. */
#include "check.h"
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

enum { TOTAL_MIB = 320, PAGES = TOTAL_MIB * 256 };

static size_t faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (size_t)usage.ru_minflt;
}

static double processor_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* What this test asks of glebe, by hand. */
static void skip_where_huge_pages_do_not_pay(void)
{
    size_t length = 256 * MIB;
    char *at = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED);
    double begin = processor_seconds();
    size_t before = faults();
    if (madvise(at, length, MADV_HUGEPAGE) != 0)
        skip("no huge pages");
    for (size_t offset = 0; offset < length; offset += 4096)
        at[offset] = 1;
    if (faults() - before > 1024)
        skip("few huge pages are free");
    if (processor_seconds() - begin > 128 * 400e-6)
        skip("huge pages are slow");
    munmap(at, length);
}

static void fill_blocks(size_t bytes)
{
    static char *block[TOTAL_MIB];
    size_t blocks = TOTAL_MIB * MIB / bytes, fewest = SIZE_MAX;
    /* One slow huge page sends glebe back to small ones for 128 MiB, less than half of a round. */
    for (int round = 0; round < 4; round++) {
        size_t before = faults();
        for (size_t i = 0; i < blocks; i++) {
            CHECK((block[i] = malloc(bytes)) != NULL);
            memset(block[i], 1, bytes);
        }
        size_t taken = faults() - before;
        fewest = taken < fewest ? taken : fewest;
        fprintf(stderr, "%zu KiB: %zu faults for %d pages\n", bytes / KIB, taken, PAGES);
        for (size_t i = 0; i < blocks; i++)
            free(block[i]);
        malloc_trim(0);
    }
    CHECK(fewest < PAGES / 2);
}

int main(void)
{
    skip_where_huge_pages_do_not_pay();
    fill_blocks(8 * MIB);
    fill_blocks(MIB);
    return 0;
}
