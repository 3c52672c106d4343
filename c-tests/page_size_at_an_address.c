/* expect: exit 0
   modes: link static
   under: nothing
   under: GLEBE_HARDENED=1
   The size of the kernel's page is told of any memory, without touching it; what cannot be told is an
   error. Pages of a region are the kernel's small ones, whatever the region moves at a time. */
#include "page_size.h"
#include "region.h"
#include <sys/mman.h>

int main(void)
{
    static char unused[1 << 20];
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = 7;
    char *map = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(map != MAP_FAILED && madvise(map, 3 * page, MADV_NOHUGEPAGE) == 0);
    errno = 77;
    CHECK(page_size_at(&bytes) >= page && page_size_at((void *)(uintptr_t)main) >= page);
    CHECK(page_size_at(unused + 600 * KIB) == 0 || page_size_at(unused + 600 * KIB) >= page);
    CHECK(page_size_at(map) == 0 && page_size_at(map) == 0);
    map[page] = 1;
    CHECK(page_size_at(map) == 0 && page_size_at(map + page) == page);
    CHECK(page_size_at(map + 2 * page - 1) == page && page_size_at(map + 2 * page) == 0);
    char *block = malloc(100);
    block[0] = 1;
    CHECK(page_size_at(block) >= page);

    CHECK(glebe_page_size_at(map + page, NULL) == EINVAL);
    CHECK(munmap(map, 3 * page) == 0);
    CHECK(glebe_page_size_at(map + page, &bytes) == ENOMEM && bytes == 7);
    CHECK(glebe_page_size_at(NULL, &bytes) == ENOMEM && bytes == 7);
    CHECK(glebe_page_size_at((void *)UINTPTR_MAX, &bytes) == ENOMEM && bytes == 7);
    CHECK(errno == 77);

    glebe_region_options options = region_options(8 * MIB, 32 * MIB);
    options.page_size = 2 * MIB;
    glebe_region region;
    char *base = create_region(&options, &region);
    CHECK(page_size_at(base) == 0 && region_statistics(region).faults == 0);
    base[0] = 1;
    CHECK(page_size_at(base + MIB) == page && page_size_at(base + 2 * MIB) == 0);
    CHECK(glebe_region_delete(region) == 0);
    return 0;
}
