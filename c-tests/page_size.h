/* What the programs about the sizes of pages share. */
#ifndef PAGE_SIZE_H
#define PAGE_SIZE_H

#include "check.h"
#include "glebe.h"

/* Bytes of the page at `address`. */
static inline size_t page_size_at(const void *address)
{
    size_t bytes = 7;
    CHECK(glebe_page_size_at(address, &bytes) == 0 && bytes != 7);
    return bytes;
}

/* Whether a file of /sys has `word` in it. */
static inline int says(const char *path, const char *word)
{
    char text[200] = "";
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    CHECK(read(file, text, sizeof text - 1) >= 0 && close(file) == 0);
    return strstr(text, word) != NULL;
}

#define THP "/sys/kernel/mm/transparent_hugepage/"

static inline int permits(const char *of_size)
{
    int by_all = says(THP "enabled", "[always]") || says(THP "enabled", "[madvise]");
    return says(of_size, "[always]") || says(of_size, "[madvise]") ||
           (by_all && says(of_size, "[inherit]"));
}

static inline int has_64_kib(void)
{
    return permits(THP "hugepages-64kB/enabled");
}

static inline int has_2_mib(void)
{
    if (access(THP "hugepages-2048kB/enabled", R_OK) == 0)
        return permits(THP "hugepages-2048kB/enabled");
    return says(THP "enabled", "[always]") || says(THP "enabled", "[madvise]");
}

/* Free pages of 1 GiB in the kernel's pool. */
static inline int has_1_gib(void)
{
    const char *path = "/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages";
    return access(path, R_OK) == 0 && !says(path, "0\n");
}

#endif
