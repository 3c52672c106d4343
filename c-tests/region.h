/* What the programs about regions share. */
#ifndef REGION_H
#define REGION_H

#include "check.h"
#include "glebe.h"

/* Options of `size` anonymous bytes. */
static inline glebe_region_options region_options(size_t size, size_t budget)
{
    glebe_region_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.size = size;
    options.budget = budget;
    options.file = -1;
    return options;
}

/* Creates it; skips the test where the machine has no userfaultfd for us. */
static inline char *create_region(const glebe_region_options *options, glebe_region *region)
{
    void *base = NULL;
    int error = glebe_region_create(options, region, &base);
    if (error == GLEBE_REGION_NO_USERFAULT)
        skip("no userfaultfd");
    CHECK(error == GLEBE_REGION_OK && base && region->id);
    return (char *)base;
}

static inline glebe_region_statistics region_statistics(glebe_region region)
{
    glebe_region_statistics statistics;
    memset(&statistics, 0, sizeof statistics);
    statistics.struct_size = sizeof statistics;
    CHECK(glebe_region_get_statistics(region, &statistics) == GLEBE_REGION_OK);
    CHECK(statistics.resident + statistics.staged <= statistics.budget);
    return statistics;
}

/* The state of page `page` of 4 KiB. */
static inline glebe_region_page region_page(glebe_region region, size_t page)
{
    glebe_region_page found;
    CHECK(glebe_region_pages(region, page, 1, &found) == GLEBE_REGION_OK);
    return found;
}

/* A file without a name that holds `size` bytes of `seed`. */
static inline int region_file(size_t size, int seed)
{
    char path[] = "/tmp/glebe-region-XXXXXX", block[4096];
    int file = mkstemp(path);
    CHECK(file >= 0 && unlink(path) == 0);
    fill(block, sizeof block, seed);
    for (size_t at = 0; at < size; at += sizeof block)
        CHECK(pwrite(file, block, sizeof block, (off_t)at) == sizeof block);
    CHECK(ftruncate(file, (off_t)size) == 0);
    return file;
}

#endif
