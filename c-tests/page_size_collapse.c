/* expect: exit 0
   modes: link static
   under: GLEBE_HUGE_PAGES=off
   under: GLEBE_PAGE_SIZE=4K
   Small pages of a block become huge ones on demand, and keep their contents; a range that is not of
   one live block is refused. */
#include "page_size.h"

int main(void)
{
    char *block = malloc(16 * MIB), *small = malloc(100);
    for (size_t at = 0; at < 16 * MIB; at++)
        block[at] = (char)(at >> 9);
    CHECK(page_size_at(block + 4 * MIB) == 4096);
    errno = 77;
    CHECK(glebe_collapse(NULL, 4 * MIB) == EINVAL);
    CHECK(glebe_collapse(block, 0) == EINVAL);
    CHECK(glebe_collapse(block, 2 * MIB - 1) == EINVAL);
    CHECK(glebe_collapse(block, 16 * MIB + 4096) == EINVAL);
    CHECK(glebe_collapse(block + 4096, SIZE_MAX) == EINVAL);
    CHECK(glebe_collapse(small, 4 * MIB) == EINVAL);
    CHECK(glebe_collapse(&small, 4 * MIB) == EINVAL);
    CHECK(page_size_at(block + 4 * MIB) == 4096);
    int error = glebe_collapse(block, 16 * MIB);
    CHECK(errno == 77);
    for (size_t at = 0; at < 16 * MIB; at++)
        CHECK(block[at] == (char)(at >> 9));
    if (getenv("GLEBE_PAGE_SIZE")) {
        /* Advised of small pages, the kernel makes none. */
        CHECK(error == EINVAL && page_size_at(block + 4 * MIB) == 4096);
    } else if (error != 0) {
        CHECK(error == EINVAL || error == ENOMEM || error == EAGAIN);
        skip("the kernel makes no huge page");
    } else {
        for (size_t at = 2 * MIB; at < 14 * MIB; at += 2 * MIB)
            CHECK(page_size_at(block + at) == 2 * MIB);
    }
    free(block);
    CHECK(glebe_collapse(block, 4 * MIB) == EINVAL);
    return 0;
}
