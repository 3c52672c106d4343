/* expect: exit 0
   modes: link
   under: GLEBE_PAGE_SIZE=4K
   under: GLEBE_PAGE_SIZE=4K GLEBE_SOURCE=mmap
   under: GLEBE_PAGE_SIZE=64K
   under: GLEBE_PAGE_SIZE=2M
   under: GLEBE_PAGE_SIZE=2M GLEBE_SOURCE=mmap
   Small blocks, large objects and objects that grew lie in pages of the size that was asked for. */
#include "page_size.h"

enum { SMALL = 20000 };

static void *block[SMALL];
static size_t wanted;

/* The kernel takes larger pages than 64 KiB where it permits those too. */
static int is_as_wanted(const void *address)
{
    size_t bytes = page_size_at(address);
    return wanted == 64 * KIB ? bytes >= wanted : bytes == wanted;
}

int main(void)
{
    const char *asked = getenv("GLEBE_PAGE_SIZE");
    wanted = strcmp(asked, "4K") == 0 ? 4 * KIB : strcmp(asked, "64K") == 0 ? 64 * KIB : 2 * MIB;
    if (wanted == 64 * KIB && (!has_64_kib() || geteuid() != 0))
        skip("no pages of 64 KiB, or nobody may know");
    if (wanted == 2 * MIB && !has_2_mib())
        skip("no huge pages");

    char *large = malloc(64 * MIB);
    fill(large, 64 * MIB, 5);
    char *grown = malloc(8 * MIB);
    fill(grown, 8 * MIB, 6);
    grown = realloc(grown, 48 * MIB);
    fill(grown + 8 * MIB, 40 * MIB, 6);
    for (int i = 0; i < SMALL; i++) {
        block[i] = malloc(1 * KIB);
        fill(block[i], 1 * KIB, i);
    }
    size_t as_wanted[3] = {0}, seen[3] = {0};
    for (size_t at = 0; at < 64 * MIB; at += 64 * KIB) {
        seen[0]++;
        as_wanted[0] += is_as_wanted(large + at);
    }
    for (size_t at = 0; at < 48 * MIB; at += 64 * KIB) {
        seen[1]++;
        as_wanted[1] += is_as_wanted(grown + at);
    }
    for (int i = 0; i < SMALL; i += 50) {
        seen[2]++;
        as_wanted[2] += is_as_wanted(block[i]);
    }
    CHECK(holds(large, 64 * MIB, 5) && holds(grown, 48 * MIB, 6));
    for (int i = 0; i < SMALL; i++)
        CHECK(holds(block[i], 1 * KIB, i));
    for (int i = 0; i < 3; i++) {
        if (wanted == 4 * KIB) {
            CHECK(as_wanted[i] == seen[i]);
        } else if (as_wanted[0] == 0) {
            skip("the kernel has no such page free");
        } else {
            /* Not all: the heap's ends, and what the kernel could not find a page for. */
            CHECK(as_wanted[i] > 0);
        }
    }
    return 0;
}
