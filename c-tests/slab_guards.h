/* The guard page that ends a slab in hardened mode. */
#ifndef SLAB_GUARDS_H
#define SLAB_GUARDS_H

#include "check.h"
#include "glebe.h"

/* The guard page behind a slab all of whose blocks are live, of 1000 bytes asked for. */
static volatile char *guard_page_of_a_slab(void)
{
    enum { BLOCKS = 4000 };
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    static char *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(1000);
        CHECK(blocks[i]);
    }
    for (int i = 0; i < BLOCKS / 2; i++) {
        char *at = (char *)(((uintptr_t)blocks[i] + 1000) & ~(page - 1));
        for (int pages = 0; pages < 2; pages++, at += page)
            if (at > blocks[i] && glebe_address_kind(at) == GLEBE_KIND_GUARD_PAGE)
                return at;
    }
    CHECK(!"a slab ends with a guard page");
    return NULL;
}

#endif
