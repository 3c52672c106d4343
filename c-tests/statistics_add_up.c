/* expect: exit 0
   modes: link static
   under: nothing
   under: GLEBE_SAMPLE=100000 */
#include "check.h"
#include "glebe.h"

static glebe_statistics now(void)
{
    glebe_statistics now = {.struct_size = sizeof now};
    CHECK(glebe_get_statistics(&now) == 0);
    CHECK(now.live_bytes == now.small_live_bytes + now.medium_live_bytes + now.large_live_bytes);
    CHECK(now.break_bytes <= now.heap_bytes);
    CHECK(now.thread_caches >= 1 && now.fork_generation == 0);
    return now;
}

int main(void)
{
    free(malloc(1));
    const size_t sizes[] = {64, 3000, 100 * KIB, 700 * KIB, 3 * MIB};
    for (int s = 0; s < 5; s++) {
        void *block[50];
        size_t usable = 0;
        glebe_statistics before = now();
        for (int i = 0; i < 50; i++) {
            block[i] = malloc(sizes[s]);
            fill(block[i], sizes[s], i);
            usable += malloc_usable_size(block[i]);
        }
        glebe_statistics peak = now();
        CHECK(peak.live_bytes == before.live_bytes + usable);
        CHECK(peak.live_blocks == before.live_blocks + 50);
        CHECK(peak.small_live_bytes == before.small_live_bytes + (sizes[s] <= 32 * KIB ? usable : 0));
        CHECK(peak.large_live_blocks == before.large_live_blocks + (sizes[s] > MIB ? 50 : 0));
        CHECK(peak.large_live_bytes == before.large_live_bytes + (sizes[s] > MIB ? usable : 0));
        for (int i = 0; i < 50; i++)
            free(block[i]);
        glebe_statistics after = now();
        CHECK(after.live_bytes == before.live_bytes && after.live_blocks == before.live_blocks);
    }
    size_t purged = glebe_purge();
    glebe_statistics clean = now();
    CHECK(purged > 0 && clean.purged_bytes >= purged && clean.purge_calls > 0);
    CHECK(clean.free_dirty_bytes == 0 && clean.cached_large_bytes == 0);
    CHECK(clean.metadata_bytes > 0);
    return 0;
}
