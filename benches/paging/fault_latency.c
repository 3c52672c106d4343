/* The round trip of a fault, by the kernel's primitives alone and by the paging of a heap under a
   budget, in turn so that a noisy moment hits both.

   raw_zero, raw_copy  a thread reads the message of a userfaultfd and answers UFFDIO_ZEROPAGE or
                       UFFDIO_COPY; the page is read
   raw_zero_write      as raw_zero, the page is written: a second fault, which the kernel serves
   zero, zero_write    pages of an object that were never touched, read or written
   evicted             pages of the same object that are not in memory, read

   `mib` is the object, which should be several budgets; `samples` are of each kind. */
#include "heap.h"
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { MOST_SAMPLES = 1 << 20, TURN = 64 };

enum kind { RAW_ZERO, RAW_ZERO_WRITE, RAW_COPY, ZERO, ZERO_WRITE, EVICTED, KINDS };

static const char *const names[KINDS] = {"raw_zero", "raw_zero_write", "raw_copy",
                                         "zero", "zero_write", "evicted"};
static uint32_t samples[KINDS][MOST_SAMPLES];
static size_t taken_samples[KINDS];

static int userfault;
static enum kind answer;
static _Alignas(4096) unsigned char contents[PAGE];

static void *answer_faults(void *unused)
{
    struct uffd_msg message;
    while (read(userfault, &message, sizeof message) == sizeof message) {
        uint64_t page = message.arg.pagefault.address & ~(uint64_t)(PAGE - 1);
        struct uffdio_zeropage zero = {.range = {page, PAGE}};
        struct uffdio_copy copy = {.dst = page, .src = (uintptr_t)contents, .len = PAGE};
        int failed = answer == RAW_COPY ? ioctl(userfault, UFFDIO_COPY, &copy)
                                        : ioctl(userfault, UFFDIO_ZEROPAGE, &zero);
        if (failed)
            fail("userfaultfd");
    }
    return unused;
}

static unsigned char *raw_area(void)
{
    userfault = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    struct uffdio_api api = {.api = UFFD_API};
    unsigned char *area =
        mmap(NULL, TURN * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffdio_register range = {.range = {(uintptr_t)area, TURN * PAGE},
                                    .mode = UFFDIO_REGISTER_MODE_MISSING};
    if (userfault < 0 || ioctl(userfault, UFFDIO_API, &api) || area == MAP_FAILED ||
        ioctl(userfault, UFFDIO_REGISTER, &range))
        fail("no userfaultfd");
    pthread_t thread;
    start(&thread, answer_faults, NULL);
    return area;
}

static void touch(enum kind kind, unsigned char *page)
{
    uint64_t begin = now_ns();
    if (kind == ZERO_WRITE || kind == RAW_ZERO_WRITE)
        *(volatile unsigned char *)page = 1;
    else
        *(volatile unsigned char *)page;
    uint64_t end = now_ns();
    if (taken_samples[kind] < MOST_SAMPLES)
        samples[kind][taken_samples[kind]++] = (uint32_t)(end - begin);
}

static void touch_raw(enum kind kind, unsigned char *area)
{
    answer = kind;
    if (madvise(area, TURN * PAGE, MADV_DONTNEED))
        fail("madvise");
    for (size_t i = 0; i < TURN; i++)
        touch(kind, area + i * PAGE);
}

static int compare(const void *one, const void *other)
{
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

int main(int argc, char **argv)
{
    workload_begin(argc, argv);
    size_t pages = argument("mib", 512) * MIB / PAGE, count = scaled(argument("samples", 16384));
    uint64_t state = draw_seed(argument("seed", 0));
    unsigned char *area = raw_area();
    unsigned char *object = taken(aligned_alloc(PAGE, pages * PAGE));

    /* The first of them bring the budget into sight, and are not counted: the kernel serves them. */
    size_t half = pages / 2, step = 1000003, next = 0;
    if (pages % step == 0 || half <= 2 * count)
        fail("mib");
    for (size_t page = 0; page < half; page++)
        fill_page(object + page * PAGE, (uint32_t)page, 0);
    for (size_t done = 0; done < count; done += TURN) {
        for (enum kind kind = RAW_ZERO; kind <= RAW_COPY; kind++)
            touch_raw(kind, area);
        /* Scattered, so that no stream is seen. */
        for (size_t i = 0; i < TURN; i++, next++)
            touch(ZERO, object + (half + next * step % half) * PAGE);
        for (size_t i = 0; i < TURN; i++, next++)
            touch(ZERO_WRITE, object + (half + next * step % half) * PAGE);
    }
    for (size_t tries = 100 * count; tries && taken_samples[EVICTED] < count; tries--) {
        size_t page = draw_below(&state, half);
        unsigned char resident;
        if (mincore(object + page * PAGE, PAGE, &resident))
            fail("mincore");
        if (resident & 1)
            continue;
        if (taken_samples[EVICTED] % TURN == 0)
            touch_raw(RAW_COPY, area);
        touch(EVICTED, object + page * PAGE);
        check_page(object + page * PAGE, (uint32_t)page, 0);
    }
    for (enum kind kind = 0; kind < KINDS; kind++) {
        size_t of = taken_samples[kind];
        if (!of)
            continue;
        qsort(samples[kind], of, sizeof samples[kind][0], compare);
        char name[64];
        snprintf(name, sizeof name, "%s_p50", names[kind]);
        metric(name, samples[kind][of / 2] / 1e3, "us");
        snprintf(name, sizeof name, "%s_p99", names[kind]);
        metric(name, samples[kind][of * 99 / 100] / 1e3, "us");
    }
    return finish(0);
}
