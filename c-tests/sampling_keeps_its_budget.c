/* expect: exit 0
   modes: link static
   under: nothing
   under: GLEBE_SAMPLE=200
   under: GLEBE_SAMPLE=0
   A second of processor time takes some samples and no more than it may; a short program, and one
   that wants none, takes none and maps nothing for them. */
#include "check.h"
#include "glebe.h"
#include <time.h>

static size_t sampled_blocks(void)
{
    glebe_statistics now = {.struct_size = sizeof now};
    CHECK(glebe_get_statistics(&now) == 0);
    return now.sampled_blocks;
}

static int region_is_mapped(void)
{
    char line[500];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps);
    while (fgets(line, sizeof line, maps))
        found |= strstr(line, "glebe sampled") != NULL;
    fclose(maps);
    return found;
}

static double seconds_run(void)
{
    struct timespec time;
    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(void)
{
    static void *block[2000];
    for (int i = 0; i < 1000; i++)
        block[i] = malloc(64);
    CHECK(sampled_blocks() == 0 && !region_is_mapped());
    for (int i = 0; i < 1000; i++)
        free(block[i]);
    for (double start = seconds_run(); seconds_run() < start + 1;) {
        for (int i = 0; i < 2000; i++)
            block[i] = malloc((size_t)i);
        for (int i = 0; i < 2000; i++)
            free(block[i]);
    }
    size_t most = setting("GLEBE_SAMPLE", 200), sampled = sampled_blocks();
    CHECK(most == 0 ? sampled == 0 && !region_is_mapped() : sampled >= 1 && sampled <= 300);
    return 0;
}
