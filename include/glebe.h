/*
 * glebe.h - what glebe offers beyond the standard allocation functions.
 *
 * Linking libglebe.so (or preloading it) replaces malloc, free and their kin;
 * nothing here is needed for that. This header is for programs that want to
 * ask the allocator something, or to call it by name beside another malloc.
 *
 * Conventions: sizes and alignments are in bytes. Every function is safe to
 * call from any thread at any time. Functions that allocate set errno to
 * ENOMEM (or EINVAL for a bad alignment) when they return NULL; functions
 * that free or ask keep errno. None is a cancellation point. A signal handler
 * may call them even where it interrupted one of them.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef GLEBE_H
#define GLEBE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GLEBE_VERSION_MAJOR 0
#define GLEBE_VERSION_MINOR 1
#define GLEBE_VERSION_PATCH 0
#define GLEBE_VERSION_STRING "0.1.0"

/* The version of the library at run time, "MAJOR.MINOR.PATCH"; never freed. */
const char *glebe_version(void);

/* ---- the standard functions by name; semantics as in malloc(3) ---------- */

/* At least `size` bytes aligned to 16; size 0 gives a block of its own. */
void *glebe_malloc(size_t size);
/* Frees `block`, or does nothing for NULL. Keeps errno. A pointer that is not
 * ours goes to the next allocator; misuse that is seen is reported. */
void glebe_free(void *block);
/* count * size bytes, all zero; NULL and ENOMEM where the product overflows. */
void *glebe_calloc(size_t count, size_t size);
/* Resizes; (NULL, n) allocates, (block, 0) frees and returns NULL. On failure
 * the old block is untouched. */
void *glebe_realloc(void *block, size_t size);
void *glebe_reallocarray(void *block, size_t count, size_t size);
/* alignment: a power of two, up to 1 GiB; size need not be a multiple. */
void *glebe_aligned_alloc(size_t alignment, size_t size);
void *glebe_memalign(size_t alignment, size_t size);
/* 0, EINVAL (alignment no power of two or no multiple of sizeof(void *)) or
 * ENOMEM; *out is written only on success, errno is kept. */
int glebe_posix_memalign(void **out, size_t alignment, size_t size);
void *glebe_valloc(size_t size);  /* aligned to the page size */
void *glebe_pvalloc(size_t size); /* and the size rounded up to it */
/* Usable bytes of `block`, every one of which may be used; 0 for NULL. */
size_t glebe_malloc_usable_size(void *block);
/* C23: free with the size (and alignment) that was asked for. */
void glebe_free_sized(void *block, size_t size);
void glebe_free_aligned_sized(void *block, size_t alignment, size_t size);

/* ---- a free with a status ------------------------------------------------ */

typedef enum glebe_free_status {
    GLEBE_FREE_SUCCESS = 0,      /* the block is free now (also for NULL) */
    GLEBE_FREE_NOT_OURS = 1,     /* no block of glebe's; nothing was done */
    GLEBE_FREE_INSIDE_BLOCK = 2, /* inside a block, not its start; nothing done */
    GLEBE_FREE_ALREADY_FREE = 3  /* free already; nothing was done */
} glebe_free_status;

/* Frees `block` and says whether it could. ALREADY_FREE is exact until the
 * block is issued again, also while it waits in a thread's cache and when
 * another thread freed it, provided nobody wrote to it after it was freed.
 * Of two threads that free one block at the same instant both may be told
 * SUCCESS. */
glebe_free_status glebe_free_checked(void *block);

/* ---- questions about an address ------------------------------------------ */

/* 1 if `address` lies in a live block of glebe's, else 0. */
int glebe_owns(const void *address);
/* The start of the live block that contains `address`, or NULL. */
void *glebe_block_start(const void *address);
/* The usable bytes of the live block that contains `address`, or 0. */
size_t glebe_block_size(const void *address);

/* What an address is. */
typedef enum glebe_kind {
    GLEBE_KIND_NOT_OURS = 0,   /* nothing of glebe's */
    GLEBE_KIND_SMALL = 1,      /* in a live block of up to 32 KiB, in a slab */
    GLEBE_KIND_MEDIUM = 2,     /* in a live block of up to 2 MiB, a span of its own */
    GLEBE_KIND_LARGE = 3,      /* in a live block above that, a mapping of its own */
    GLEBE_KIND_GUARDED = 4,    /* in a live block between guard pages */
    GLEBE_KIND_SAMPLED = 5,    /* in a live block that was sampled (GLEBE_SAMPLE) */
    GLEBE_KIND_FREE = 6,       /* in memory of glebe's that is in no live block */
    GLEBE_KIND_GUARD_PAGE = 7, /* in a guard page: any access ends in a report */
    GLEBE_KIND_OWN = 8,        /* in glebe's own tables or options */
    GLEBE_KIND_BOOTSTRAP = 9   /* where blocks from before relocation are */
} glebe_kind;

/* What `address` is at this moment. Like the three above it may cost a search;
 * never reads at the address. */
glebe_kind glebe_address_kind(const void *address);

/* ---- guarded blocks --------------------------------------------------------- */

/* `size` bytes, all zero, between guard pages, in any mode: an access past
 * the end, down to the alignment, or before the block's first page, or after
 * it was freed (for a while), ends in a report. What lies between the block
 * and its guards is looked over when it is freed. alignment: a power of two,
 * in bytes; at least 16 are kept. A block aligned to the page size or more
 * begins with a page, which glebe_protect wants; its last page may have a
 * rest. free() and glebe_free() free it; realloc keeps it guarded above
 * 16 KiB. The usable bytes are exactly `size`. Costs whole pages and some
 * 10 us. Where the process may have no more mappings for guards the block
 * comes without (glebe_statistics counts these). NULL with ENOMEM, or EINVAL
 * for a bad alignment. */
void *glebe_guarded_alloc(size_t alignment, size_t size);

typedef enum glebe_protection {
    GLEBE_PROTECT_NONE = 0,      /* every access faults */
    GLEBE_PROTECT_READ = 1,      /* every write faults */
    GLEBE_PROTECT_READ_WRITE = 2 /* as allocated */
} glebe_protection;

/* Sets what may be done with the `size` bytes from `address` on, both
 * multiples of the page size, within the pages of one live guarded block (the
 * last page counts as a whole, the first only if the block begins with it).
 * The contents stay. Faults there are the program's own: they reach its
 * SIGSEGV handler and are not reported. A block is freed and resized
 * correctly whatever its protections; resizing ends them. 0; or EINVAL (not
 * aligned, size 0 or overflowing, beyond the block, not a live guarded block,
 * unknown protection) or what the kernel refuses with, ENOMEM where it can
 * split no more mappings, and then nothing has changed. Keeps errno. Calls
 * for one block, and a free of it, must not run at the same time. */
int glebe_protect(void *address, size_t size, int protection);

/* ---- statistics ------------------------------------------------------------ */

/* A snapshot; all fields in bytes unless named otherwise. Other threads go on
 * while it is taken, so sums are exact only where they rest. Blocks that a
 * thread has at hand count as free; those that wait to be handed back to
 * another thread still count as live. */
typedef struct glebe_statistics {
    size_t struct_size;        /* set by the caller: sizeof(glebe_statistics) */
    size_t live_bytes;         /* usable bytes of all live blocks */
    size_t live_blocks;        /* their number */
    size_t small_live_bytes;   /* of these: blocks of up to 32 KiB, in slabs, and sampled ones */
    size_t medium_live_bytes;  /* up to 2 MiB, a span each */
    size_t large_live_bytes;   /* above, a mapping each */
    size_t large_live_blocks;
    size_t heap_bytes;         /* address space of the page heap */
    size_t break_bytes;        /* of these: from the program break */
    size_t free_dirty_bytes;   /* free spans that may still be resident */
    size_t cached_large_bytes; /* freed mappings kept for reuse */
    size_t metadata_bytes;     /* address space of our own tables */
    size_t purged_bytes;       /* given back to the kernel since the start */
    size_t purge_calls;        /* how often that was asked */
    size_t thread_caches;      /* caches in use by threads now */
    size_t fork_generation;    /* multi-threaded forks this process descends from */
    size_t sampled_blocks;     /* blocks ever given a page between guard pages by GLEBE_SAMPLE */
    size_t unguarded_objects;  /* issued without guard pages, of which there were no more */
} glebe_statistics;

/* Fills `out` up to out->struct_size bytes. 0, or EINVAL for NULL or a
 * struct_size smaller than its first two fields. Keeps errno. */
int glebe_get_statistics(glebe_statistics *out);

/* Gives every free page back to the kernel now (as malloc_trim(0)); the bytes
 * given back. */
size_t glebe_purge(void);

#ifdef __cplusplus
}
#endif

#endif /* GLEBE_H */
