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

/* ---- the kernel's pages --------------------------------------------------- */

/* Passes the bytes of the kernel's page that maps `address` now, whoever's that
 * is: 4096, 2 MiB, or 1 GiB, and where /proc/kpageflags may be read (root) also
 * transparent pages of sizes between, as far as they are mapped whole; 0 where
 * no page is there yet, or any more. Never touches it. 0; or EINVAL (NULL),
 * ENOMEM (nothing is mapped there), ENOSYS (Linux before 6.7) or what /proc
 * refuses with, and then *bytes is as it was. For a huge page it walks over all
 * mappings of the process (proc_pid_smaps(5)). Keeps errno. */
int glebe_page_size_at(const void *address, size_t *bytes);

/* Makes huge pages of the small ones that lie wholly in a range of a live block,
 * by aligned 2 MiB (madvise(2), MADV_COLLAPSE): copies them, now, also where the
 * kernel is told to make none by itself. 0; or EINVAL (not of one live block,
 * overflow, no whole 2 MiB in it, or the kernel cannot), EBUSY (the heap has a
 * budget), ENOMEM or EAGAIN (no huge page is free). A part may be done then.
 * The contents stay in any case. Keeps errno. */
int glebe_collapse(void *address, size_t size);

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

/* ---- a data section of the program's own ---------------------------------------- */

/* sbrk(2) and brk(2) for a section beside the heap: contiguous, private, one for
 * the process. The program break is moved by the heap, so that a program which
 * wants a break for itself, or an allocator of its own on it, has this one: no
 * mapping and no call of anybody else moves it. Address space for it (64 GiB, or
 * an eighth of RLIMIT_AS) is reserved at the first call. Bytes that come in are
 * zero; bytes behind the end must not be used, and their pages are given back.
 * A program that changes the protection of its pages makes them writable again
 * before it contracts the section. A child after fork has a section of its own
 * with the same bytes. Not paged out under a budget. Calls by several threads
 * wait for each other; a signal handler may call both.
 *
 * An error changes nothing. */

/* Moves the end by `bytes`, up or down; 0 asks. The end before, which is the
 * start of the new bytes where it moved up; or (void *)-1 with ENOMEM: before the
 * section's start, beyond what is reserved, no memory, RLIMIT_DATA. */
void *glebe_sbrk(intptr_t bytes);
/* Moves the end to `end`, any address from the section's start (the first
 * glebe_sbrk(0)) on. 0; or -1 with ENOMEM as above. */
int glebe_brk(void *end);

/* ---- regions: more address space than memory ---------------------------------- */

/* A region is a contiguous range of addresses of which at most `budget` bytes
 * are in memory at a time. What does not fit lies in a compressed store in
 * memory, in the region's file, or in shared memory, and comes back when it is
 * touched. Each region has a thread of the library's, which serves its faults;
 * that thread has no descriptor of the program's but the region's file.
 *
 * All functions return 0 (GLEBE_REGION_OK) or a glebe_region_error, and have
 * changed nothing when it is not 0, unless they say otherwise. They keep errno,
 * and may be called by any thread at any time; calls for one region wait for
 * each other, touches of its memory do not wait for them. They must not be
 * called by signal handlers.
 *
 * A region belongs to the process that created it: a child after fork does not
 * have its memory, and gets GLEBE_REGION_BAD_HANDLE. Shared memory it attaches
 * by a region of its own.
 *
 * Where the process may not have the kernel's own faults served (see
 * kernel_faults in the statistics) a system call that is passed an absent page
 * fails with EFAULT: pin what is passed to system calls. Memory of a region
 * must not be given back or moved by madvise(2), mremap(2) or munmap(2).
 * Needs Linux 5.7 (userfaultfd with write protection; shared regions 5.14). */

typedef struct glebe_region {
    uint64_t id; /* 0 is no region; ids are not issued twice */
} glebe_region;

typedef enum glebe_region_error {
    GLEBE_REGION_OK = 0,
    GLEBE_REGION_BAD_HANDLE = 1,      /* no region, deleted, or of another process */
    GLEBE_REGION_BAD_ARGUMENT = 2,    /* NULL, struct_size too small, unknown flag or option */
    GLEBE_REGION_ZERO_SIZE = 3,
    GLEBE_REGION_UNALIGNED = 4,       /* an address, size or offset */
    GLEBE_REGION_OVERFLOW = 5,        /* address + size, or offset + size */
    GLEBE_REGION_OUTSIDE = 6,         /* the range is not within the region */
    GLEBE_REGION_TOO_LARGE = 7,       /* above most_size, or what can be reserved */
    GLEBE_REGION_BAD_BASE = 8,        /* something is mapped there, or nothing may be */
    GLEBE_REGION_BAD_PAGE_SIZE = 9,   /* no power of two from 4 KiB to 2 MiB */
    GLEBE_REGION_BAD_BUDGET = 10,     /* below 8 pages of the region's page size */
    GLEBE_REGION_BAD_PROTECTION = 11, /* unknown, or writable in a read-only region */
    GLEBE_REGION_WRONG_KIND = 12,     /* a call that this kind of region does not have */
    GLEBE_REGION_BAD_FILE = 13,       /* no regular file or memory, or not open for that */
    GLEBE_REGION_FILE_TOO_SHORT = 14, /* the section is beyond its end */
    GLEBE_REGION_PINNED = 15,         /* pages that would go are pinned */
    GLEBE_REGION_NOT_PINNED = 16,
    GLEBE_REGION_NO_ROOM = 17,        /* so many pinned pages leave none to work with */
    GLEBE_REGION_TOO_MANY = 18,       /* 256 regions at a time, 4095 pins of a page */
    GLEBE_REGION_NO_MEMORY = 19,      /* for tables, or no thread */
    GLEBE_REGION_NO_USERFAULT = 20,   /* the kernel lacks it, or does not permit it */
    GLEBE_REGION_READ_FAILED = 21,
    GLEBE_REGION_WRITE_FAILED = 22    /* the data stays in memory, dirty */
} glebe_region_error;

/* What an error is, in English; never NULL, never freed. */
const char *glebe_region_error_text(int error);

typedef enum glebe_region_kind {
    GLEBE_REGION_ANONYMOUS = 0, /* zeroes at first; evicted to compressed memory */
    GLEBE_REGION_FILE = 1,      /* a section of a file, read on demand; private memory,
                                   written back by sync, eviction and deletion */
    GLEBE_REGION_SHARED = 2     /* shared memory: the budget bounds what of it is mapped
                                   here; what leaves stays in the shared memory */
} glebe_region_kind;

typedef enum glebe_region_prefetch_policy {
    GLEBE_REGION_PREFETCH_STREAMS = 0, /* ahead of faults that walk up or down */
    GLEBE_REGION_PREFETCH_NONE = 1
} glebe_region_prefetch_policy;

typedef enum glebe_region_eviction {
    GLEBE_REGION_EVICT_ADAPTIVE = 0, /* oldest first, but what was wanted back soon later */
    GLEBE_REGION_EVICT_FIFO = 1,     /* oldest first */
    GLEBE_REGION_EVICT_NEWEST = 2    /* newest first: for loops over more than the budget */
} glebe_region_eviction;

enum { /* flags of a region */
    GLEBE_REGION_GROWS_FILE = 1, /* the file is made as long as the section */
    GLEBE_REGION_READ_ONLY = 2   /* writes fault; a file need not be open for writing */
};

/* Sizes in bytes. Zero everything that is not set. */
typedef struct glebe_region_options {
    size_t struct_size;     /* sizeof(glebe_region_options) */
    size_t size;            /* a multiple of page_size; of a file any */
    size_t most_size;       /* expand may go so far (address space only); 0: size */
    size_t budget;          /* resident and staged bytes at most; 8 pages at least */
    size_t page_size;       /* what comes and goes together: 4 KiB (also for 0), 8, … 2 MiB */
    void *base;             /* where it shall lie (a multiple of 4 KiB); NULL: anywhere */
    uint64_t file_offset;   /* where the section begins, a multiple of 4 KiB */
    size_t prefetch_size;   /* bytes brought in ahead at most; 0: 1 MiB (16 pages at least) */
    int kind;               /* glebe_region_kind */
    int file;               /* descriptor of the file or shared memory; may be closed after */
    int flags;
    int prefetch;           /* glebe_region_prefetch_policy */
    int eviction;           /* glebe_region_eviction */
    int reserved;           /* 0 */
} glebe_region_options;

/* Creates a region; its handle goes to *region, its start to *base unless that
 * is NULL. A file may only be changed by others where the region has no page
 * in memory (glebe_region_release drops them); a file that shrinks reads as
 * zeroes beyond its end. */
int glebe_region_create(const glebe_region_options *options, glebe_region *region, void **base);

/* Makes shared memory of `size` bytes (a multiple of 4 KiB), zeroes, and passes
 * its descriptor, which is the caller's to close: to create regions of the kind
 * GLEBE_REGION_SHARED by, in this process and in others that it is sent to. */
int glebe_region_shared_memory(size_t size, int *descriptor);

/* Makes the region longer, in place: up to most_size. The new pages are zero,
 * or what the file holds there. size: a multiple of page_size, not less than
 * now. A file is grown with the flag GROWS_FILE, else FILE_TOO_SHORT. */
int glebe_region_expand(glebe_region region, size_t size);

/* Makes the region shorter; what lay behind the new end is lost, but for a
 * file's dirty pages, which are written back before. Nobody may touch it any
 * more. After WRITE_FAILED the size is as it was. The file keeps its length. */
int glebe_region_contract(glebe_region region, size_t size);

/* Gives the memory and the store of a range back at once, a multiple of
 * page_size from the start on and long, anywhere in the region; the address
 * space stays. At the next touch an anonymous page is zero, one of a file what
 * the file holds: changes that were not written back are dropped (sync first to
 * keep them). Pages of shared memory leave this process, and the shared memory
 * keeps them. Protections stay. PINNED where a page is pinned, and nothing has
 * changed; or locked by mlock(2), and then those stay and the others are gone. */
int glebe_region_release(glebe_region region, void *address, size_t size);

/* Sets what may be done (glebe_protection) with a range, a multiple of
 * page_size from the start on and long. The contents stay. Anonymous pages that
 * nobody may read stay in memory. NO_MEMORY where the kernel can split no more
 * mappings. */
int glebe_region_protect(glebe_region region, void *address, size_t size, int protection);

/* Writes a file's dirty pages back and deletes the region, whose memory nobody
 * may touch any more. After WRITE_FAILED the region is as it was: free space,
 * or use the second, which drops what was not written. */
int glebe_region_delete(glebe_region region);
int glebe_region_delete_unsaved(glebe_region region);

/* Writes a file's dirty pages back and waits for the device; pages that are
 * written to meanwhile may stay dirty. After WRITE_FAILED some are written.
 * Touches of absent pages wait while the device does. */
int glebe_region_sync(glebe_region region);

/* Brings the pages of a range in and keeps them there, writable, until they are
 * unpinned as often. Any range: the pages it touches are meant. At least 8
 * pages of the budget must stay free of pins: NO_ROOM. */
int glebe_region_pin(glebe_region region, const void *address, size_t size);
/* NOT_PINNED if one of the pages is not. */
int glebe_region_unpin(glebe_region region, const void *address, size_t size);

/* Hints: brings the pages of a range in, up to half the budget; sends them out
 * (a file's dirty ones are written; pinned ones stay). Any range. */
int glebe_region_prefetch(glebe_region region, const void *address, size_t size);
int glebe_region_evict(glebe_region region, const void *address, size_t size);

/* Sets another budget; evicts down to it at once. NO_ROOM where pins need more. */
int glebe_region_set_budget(glebe_region region, size_t budget);

/* In bytes unless named otherwise; counts since the creation. */
typedef struct glebe_region_statistics {
    size_t struct_size;       /* set by the caller */
    size_t size;
    size_t budget;
    size_t page_size;
    size_t resident;          /* in memory, in its place */
    size_t staged;            /* in memory, out of sight: second chance */
    size_t stored;            /* pages in the compressed store, as they are in memory */
    size_t store_size;        /* what they take there: stored / store_size is the ratio */
    size_t pinned;
    size_t dirty;             /* of a file */
    size_t metadata;          /* tables of the region that are in use */
    size_t kernel_faults;     /* 1 where system calls may be passed absent pages, else 0 */
    size_t faults;            /* number of all; of these: */
    size_t zero_faults;       /* first touches */
    size_t staged_faults;
    size_t stored_faults;
    size_t file_faults;       /* read from the file */
    size_t shared_faults;     /* pages that the shared memory held already */
    size_t write_faults;      /* first writes to clean pages of a file */
    size_t prefetched;        /* pages (of page_size) brought in ahead */
    size_t evicted;           /* pages (of page_size) */
    size_t written_back;      /* bytes */
    size_t read_errors;       /* such pages raise SIGBUS, or SIGSEGV before Linux 6.6 */
    size_t write_errors;
    size_t stall_ns;          /* sum over faults, from its arrival at the region's thread on */
    size_t stall_p50_ns;      /* half of the faults took at most that, within 20 % */
    size_t stall_p99_ns;
} glebe_region_statistics;

/* Fills `out` up to out->struct_size bytes; at least the first two fields. */
int glebe_region_get_statistics(glebe_region region, glebe_region_statistics *out);

typedef enum glebe_region_page_state {
    GLEBE_REGION_PAGE_ABSENT = 0,     /* never touched: zero, or in the file or shared memory */
    GLEBE_REGION_PAGE_RESIDENT = 1,
    GLEBE_REGION_PAGE_STAGED = 2,
    GLEBE_REGION_PAGE_COMPRESSED = 3, /* in the store, incompressible ones as they are */
    GLEBE_REGION_PAGE_SAME = 4        /* one 32-bit word again and again: takes no memory */
} glebe_region_page_state;

typedef struct glebe_region_page {
    uint8_t state;    /* glebe_region_page_state */
    uint8_t dirty;    /* 1: to be written to the file */
    uint16_t pins;
    uint32_t frame;   /* staged: which frame of staging, counted in page_size; else 0 */
} glebe_region_page;

/* The states of `count` pages of 4 KiB from page `first` on. */
int glebe_region_pages(glebe_region region, size_t first, size_t count, glebe_region_page *out);

/* ---- segments: base and limit ------------------------------------------------------ */

/* A segment is a range of bytes with a base, a limit and a protection. A program
 * that keeps offsets in place of addresses has each checked against the limit and
 * added to the base; so the segment may lie anywhere, move without being copied,
 * be attached at another base by another process, and be saved to a file and
 * loaded at another base.
 *
 * All functions return 0 (GLEBE_SEGMENT_OK) or a glebe_segment_error, and have
 * changed nothing when it is not 0. They keep errno, and may be called by any
 * thread at any time; calls for one segment wait for each other. They must not be
 * called by signal handlers. A child after fork has its parent's segments by the
 * same handles: private ones as copies, attached ones shared.
 *
 * Who holds an address in a segment must not use it after another thread or call
 * has relocated or deleted the segment, or contracted it below that: as with any
 * memory that moves. */

typedef struct glebe_segment {
    uint64_t id; /* 0 is no segment; ids are not issued twice */
} glebe_segment;

typedef enum glebe_segment_error {
    GLEBE_SEGMENT_OK = 0,
    GLEBE_SEGMENT_BAD_HANDLE = 1,     /* no segment, or deleted */
    GLEBE_SEGMENT_BAD_ARGUMENT = 2,   /* NULL, struct_size too small; expand to less, contract to more */
    GLEBE_SEGMENT_ZERO_SIZE = 3,
    GLEBE_SEGMENT_UNALIGNED = 4,      /* a base that is no multiple of the page size */
    GLEBE_SEGMENT_OVERFLOW = 5,       /* base + size, or a size rounded up to pages */
    GLEBE_SEGMENT_OUTSIDE = 6,        /* beyond the limit */
    GLEBE_SEGMENT_TOO_LARGE = 7,      /* above most_size, or what can be reserved */
    GLEBE_SEGMENT_BAD_BASE = 8,       /* something is mapped there, or nothing may be */
    GLEBE_SEGMENT_BAD_PROTECTION = 9, /* unknown; not permitted by the descriptor; save: unreadable */
    GLEBE_SEGMENT_BAD_FILE = 10,      /* attach: no shared memory or file, or too short */
    GLEBE_SEGMENT_BAD_IMAGE = 11,     /* no image, or of another version or byte order */
    GLEBE_SEGMENT_DAMAGED = 12,       /* an image that is cut off or has changed */
    GLEBE_SEGMENT_TOO_MANY = 13,      /* 256 segments at a time */
    GLEBE_SEGMENT_NO_MEMORY = 14,
    GLEBE_SEGMENT_READ_FAILED = 15,
    GLEBE_SEGMENT_WRITE_FAILED = 16   /* what the path named before is as it was */
} glebe_segment_error;

/* What an error is, in English; never NULL, never freed. */
const char *glebe_segment_error_text(int error);

/* Sizes in bytes. Zero what is not set. */
typedef struct glebe_segment_options {
    size_t struct_size; /* sizeof(glebe_segment_options) */
    size_t size;        /* the limit, any size; attach: 0 is all there is; load: not used */
    size_t most_size;   /* expand may go so far (address space only); 0: size */
    void *base;         /* where it shall lie, a multiple of the page size; NULL: anywhere */
    int protection;     /* glebe_protection */
    int reserved;       /* 0 */
} glebe_segment_options;

/* Creates a private segment of zeroes. */
int glebe_segment_create(const glebe_segment_options *options, glebe_segment *segment);
/* Attaches shared memory (of glebe_region_shared_memory, or any memfd or file) whose
 * descriptor may be closed after: all who attach it see each other's writes. Its
 * most_size is the memory's size. */
int glebe_segment_attach(int descriptor, const glebe_segment_options *options,
                         glebe_segment *segment);
/* Deletes it. Private memory is gone, shared memory stays with the others. */
int glebe_segment_delete(glebe_segment segment);

/* Moves the limit, in place. What comes in is zero; what goes is lost. Of an
 * attached segment the memory stays, and with it its contents. */
int glebe_segment_expand(glebe_segment segment, size_t size);
int glebe_segment_contract(glebe_segment segment, size_t size);
/* Sets what may be done with all of it (glebe_protection). */
int glebe_segment_protect(glebe_segment segment, int protection);
/* Moves it to `base` (NULL: anywhere else), which must be free: the kernel moves
 * pages, or whole page tables where both bases are multiples of 2 MiB; no byte is
 * copied. Needs room for the whole most_size. */
int glebe_segment_relocate(glebe_segment segment, void *base);

/* The address of `length` bytes from `offset` on, all below the limit; else OUTSIDE
 * (also for a sum that wraps). Checks the handle. */
int glebe_segment_translate(glebe_segment segment, size_t offset, size_t length, void **address);

/* Base and limit of a segment: for translations that cost no call. They stay where
 * they are until the segment is deleted, and follow every relocation. A compiler
 * reads them anew after a call that it does not know, and after another thread's
 * relocation that the program waited for. */
typedef struct glebe_segment_registers {
    size_t base;
    size_t limit;
} glebe_segment_registers;
int glebe_segment_get_registers(glebe_segment segment, const glebe_segment_registers **registers);

/* The same translation by them; NULL where it is outside. */
static inline void *glebe_segment_at(const glebe_segment_registers *registers, size_t offset,
                                     size_t length)
{
    size_t limit = registers->limit;
    return length > limit || offset > limit - length ? NULL : (void *)(registers->base + offset);
}

/* The image of a segment: a file with its bytes and a sum of them. save puts it in
 * the place of `path` whole, or leaves what is there; load maps it as a private
 * segment, at any base, and refuses what is no image, cut off or damaged. The file
 * must not be written to while it is loaded; saving over it is fine. */
int glebe_segment_save(glebe_segment segment, const char *path);
int glebe_segment_load(const char *path, const glebe_segment_options *options,
                       glebe_segment *segment);

/* A pointer within a segment that is right wherever the segment lies: the distance
 * from itself. All zero is NULL. It must not be copied to another place but by set
 * and get, and cannot lead to the second byte of itself. */
typedef struct glebe_offset_pointer {
    intptr_t distance; /* 0: NULL; 1: itself */
} glebe_offset_pointer;

static inline void glebe_offset_set(glebe_offset_pointer *pointer, const void *target)
{
    intptr_t distance = (intptr_t)((uintptr_t)target - (uintptr_t)pointer);
    pointer->distance = !target ? 0 : distance ? distance : 1;
}

static inline void *glebe_offset_get(const glebe_offset_pointer *pointer)
{
    intptr_t distance = pointer->distance;
    uintptr_t target = (uintptr_t)pointer + (uintptr_t)(distance == 1 ? 0 : distance);
    return distance ? (void *)target : NULL;
}

/* ---- maps: what an address space looks like ---------------------------------------- */

/* A map is a picture of a process's address space at one moment: regions in
 * address order, what each is for, and where its pages are. It is taken without
 * stopping the process or telling it; what changes meanwhile may be seen half.
 * Where the process runs glebe, of the same build, the map knows its heap.
 *
 * All functions return 0 (GLEBE_MAP_OK) or a glebe_map_error, and have changed
 * nothing when it is not 0. They keep errno, and may be called by any thread at
 * any time, but not by signal handlers. Maps lie in mappings of their own, so a
 * map of the own process shows its heap as it is. */

typedef struct glebe_map {
    uint64_t id; /* 0 is no map; ids are not issued twice */
} glebe_map;

typedef enum glebe_map_error {
    GLEBE_MAP_OK = 0,
    GLEBE_MAP_BAD_ARGUMENT = 1,  /* NULL, struct_size too small, an index beyond the end */
    GLEBE_MAP_NO_PROCESS = 2,    /* no such process, or it has ended */
    GLEBE_MAP_NOT_PERMITTED = 3, /* another user's process, or not to be looked into */
    GLEBE_MAP_NO_PROC = 4,       /* /proc is not mounted, or says what nobody understands */
    GLEBE_MAP_NO_MEMORY = 5,
    GLEBE_MAP_BAD_HANDLE = 6,    /* no map, or deleted */
    GLEBE_MAP_TOO_MANY = 7       /* 64 maps at a time */
} glebe_map_error;

/* What an error is, in English; never NULL, never freed. */
const char *glebe_map_error_text(int error);

typedef enum glebe_map_kind {
    GLEBE_MAP_TEXT = 0,            /* code of a program or library */
    GLEBE_MAP_DATA = 1,            /* other sections of its file */
    GLEBE_MAP_BSS = 2,             /* zeroes at first, behind its data */
    GLEBE_MAP_PROGRAM_BREAK = 3,   /* as far as it is not glebe's heap */
    GLEBE_MAP_SLABS = 4,           /* small blocks of one size class */
    GLEBE_MAP_MEDIUM_OBJECTS = 5,
    GLEBE_MAP_LARGE_OBJECT = 6,
    GLEBE_MAP_FREE_HEAP = 7,       /* free spans, mappings kept for reuse */
    GLEBE_MAP_GUARDED_OBJECT = 8,  /* between guard pages, or sampled */
    GLEBE_MAP_HEAP_TABLES = 9,     /* glebe's own */
    GLEBE_MAP_PAGING_STORE = 10,   /* staging, compressed memory */
    GLEBE_MAP_PAGED_REGION = 11,   /* glebe_region_create */
    GLEBE_MAP_SEGMENT = 12,        /* glebe_segment_create */
    GLEBE_MAP_DATA_SECTION = 13,   /* glebe_sbrk */
    GLEBE_MAP_GUARD = 14,          /* nobody may touch it */
    GLEBE_MAP_STACK = 15,
    GLEBE_MAP_FILE = 16,
    GLEBE_MAP_SHARED = 17,         /* memory shared with other processes */
    GLEBE_MAP_ANONYMOUS = 18,
    GLEBE_MAP_KERNEL = 19          /* vdso, vvar, vsyscall */
} glebe_map_kind;

typedef enum glebe_map_page_state {
    GLEBE_MAP_PAGE_ABSENT = 0,      /* never touched, or given back: no memory */
    GLEBE_MAP_PAGE_RESIDENT = 1,
    GLEBE_MAP_PAGE_SWAPPED = 2,     /* by the kernel */
    GLEBE_MAP_PAGE_STAGED = 3,      /* out of sight, still in memory */
    GLEBE_MAP_PAGE_COMPRESSED = 4,
    GLEBE_MAP_PAGE_SAME_FILLED = 5, /* one word again and again: takes no memory */
    GLEBE_MAP_PAGE_FILED = 6,       /* in glebe's spill file */
    GLEBE_MAP_PAGE_GUARD = 7
} glebe_map_page_state;

enum { /* of a region */
    GLEBE_MAP_READABLE = 1,
    GLEBE_MAP_WRITABLE = 2,
    GLEBE_MAP_EXECUTABLE = 4,
    GLEBE_MAP_SHARED_WITH_OTHERS = 8
};

/* Addresses and sizes in bytes. */
typedef struct glebe_map_region {
    size_t struct_size;    /* set by the caller */
    size_t start;
    size_t end;            /* behind the last byte */
    size_t kind;           /* glebe_map_kind */
    size_t flags;
    size_t block_bytes;    /* slabs: of a block; else 0 */
    size_t live_blocks;    /* slabs: in use, those at hand in threads' caches included */
    size_t resident_bytes;
    size_t dirty_bytes;    /* of these: written, and of no file */
    size_t swapped_bytes;
    size_t evicted_bytes;  /* staged, compressed, same-filled, filed: as long as in memory */
    size_t huge_bytes;     /* resident in pages of 2 MiB and above */
    size_t page_bytes;     /* the kernel's page */
} glebe_map_region;

/* Pages of one state that follow each other. */
typedef struct glebe_map_run {
    size_t start;
    size_t end;
    uint32_t state;      /* glebe_map_page_state */
    uint32_t is_dirty;
    size_t page_bytes;
} glebe_map_run;

/* Takes a map of the process (0: the calling one); refresh takes it anew, and
 * leaves it empty where that fails. */
int glebe_map_take(int process, glebe_map *map);
int glebe_map_refresh(glebe_map map);
int glebe_map_delete(glebe_map map);
/* How many regions there are; and whether the process runs glebe, unless
 * `runs_glebe` is NULL. */
int glebe_map_count(glebe_map map, size_t *regions, int *runs_glebe);
/* Fills `out` up to out->struct_size bytes; at least the first three fields. */
int glebe_map_get_region(glebe_map map, size_t index, glebe_map_region *out);
/* What the kernel calls a region, a path or "[stack]": up to size - 1 bytes and
 * a NUL. size: at least 1. */
int glebe_map_get_name(glebe_map map, size_t index, char *out, size_t size);
/* A region's runs from run `first` on, `count` at most: how many go to
 * *written, 0 behind the last. Runs leave no gaps. */
int glebe_map_get_runs(glebe_map map, size_t index, size_t first, size_t count,
                       glebe_map_run *out, size_t *written);

#ifdef __cplusplus
}
#endif

#endif /* GLEBE_H */
