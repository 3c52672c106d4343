/* The round trip of a fault, by the kernel's primitives alone and by the paging of a heap under a
   budget, in turn so that a noisy moment hits both.

   raw_zero, raw_copy  a thread reads the message of a userfaultfd and answers UFFDIO_ZEROPAGE or
                       UFFDIO_COPY; the page is read
   raw_zero_write      as raw_zero, the page is written: a second fault, which the kernel serves
   zero, zero_write    pages of an object that were never touched, read or written, while there is
                       room in the budget
   evicted             pages of the same object that are not in memory, read, after room was made
   zero_pressed, ...   the same while there is none, so that others have to go

   `budget_mib` is the budget that it runs under; the object is four times as large. */
#include "heap.h"
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { MOST_SAMPLES = 1 << 20, TURN = 64 };

enum kind { RAW_ZERO, RAW_ZERO_WRITE, RAW_COPY, ZERO, ZERO_WRITE, EVICTED, ZERO_PRESSED, EVICTED_PRESSED, KINDS };

static const char *const names[KINDS] = {"raw_zero", "raw_zero_write", "raw_copy", "zero",
                                         "zero_write", "evicted", "zero_pressed", "evicted_pressed"};
static uint32_t samples[KINDS][MOST_SAMPLES];
static size_t taken_samples[KINDS];

static int userfault;
static unsigned char *raw;
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

static unsigned char *object;

/* Scattered over `end` pages, so that no stream is seen; `turn` of them are never the same. */
static size_t scattered(size_t turn, size_t end)
{
    return turn * 1000003 % end;
}

/* In turn with the primitives; pages of the numbers from `turn`. */
static void touch_zero(enum kind kind, size_t turn, size_t count, size_t end)
{
    for (size_t done = 0; done < count; done++) {
        if (done % TURN == 0)
            touch_raw(kind == ZERO_WRITE ? RAW_ZERO_WRITE : RAW_ZERO, raw);
        touch(kind, object + scattered(turn + done, end) * PAGE);
    }
}

static void touch_evicted(enum kind kind, size_t count, size_t begin, size_t end, uint64_t *state)
{
    size_t done = 0;
    for (size_t tries = 100 * count; tries && done < count; tries--) {
        size_t page = begin + draw_below(state, end - begin);
        unsigned char resident;
        if (mincore(object + page * PAGE, PAGE, &resident))
            fail("mincore");
        if (resident & 1)
            continue;
        if (done++ % TURN == 0)
            touch_raw(RAW_COPY, raw);
        touch(kind, object + page * PAGE);
        check_page(object + page * PAGE, (uint32_t)page, 0);
    }
}

int main(int argc, char **argv)
{
    workload_begin(argc, argv);
    size_t budget = argument("budget_mib", 128) * MIB / PAGE, pages = 4 * budget, half = pages / 2;
    size_t count = budget / 8;
    uint64_t state = draw_seed(argument("seed", 0));
    raw = raw_area();
    if (half % 1000003 == 0)
        fail("budget_mib");
    object = taken(aligned_alloc(PAGE, pages * PAGE));
    /* So large an object brings the budget into sight, and its first part out of the kernel's hands,
       which takes a moment. */
    sleep(1);
    touch_zero(ZERO, 0, count, half);
    touch_zero(ZERO_WRITE, count, count, half);

    for (size_t page = half; page < pages; page++)
        fill_page(object + page * PAGE, (uint32_t)page, 0);
    touch_zero(ZERO_PRESSED, 2 * count, count, half);
    touch_evicted(EVICTED_PRESSED, count, half, pages, &state);

    /* Takes the room of others, and gives it back. */
    unsigned char *ballast = take(budget / 2 * PAGE);
    for (size_t page = 0; page < budget / 2; page++)
        fill_page(ballast + page * PAGE, (uint32_t)page, 0);
    free(ballast);
    touch_evicted(EVICTED, count, half, pages, &state);

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
