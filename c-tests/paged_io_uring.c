/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_SOURCE=mmap
   io_uring reads from and writes into memory that is out. Buffers that are registered with it are
   pinned: they are let alone while they are, and what the kernel writes there long after is seen. */
#include "paged.h"
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <sys/uio.h>

enum { BUFFERS = 16, SIZE = 16 * 4096 };

static struct { int file; unsigned char *submissions, *completions; struct io_uring_sqe *entries; struct io_uring_params is; } ring;

static void set_up(void)
{
    ring.file = (int)syscall(SYS_io_uring_setup, 8, &ring.is);
    if (ring.file < 0)
        skip("no io_uring here");
    int access = PROT_READ | PROT_WRITE, kind = MAP_SHARED | MAP_POPULATE;
    ring.submissions = mmap(NULL, ring.is.sq_off.array + 8 * 4, access, kind, ring.file, IORING_OFF_SQ_RING);
    ring.completions = mmap(NULL, ring.is.cq_off.cqes + 16 * sizeof(struct io_uring_cqe), access, kind, ring.file, IORING_OFF_CQ_RING);
    ring.entries = mmap(NULL, 8 * sizeof *ring.entries, access, kind, ring.file, IORING_OFF_SQES);
    CHECK(ring.submissions != MAP_FAILED && ring.completions != MAP_FAILED && ring.entries != MAP_FAILED);
}

/* One request, and its result. */
static int request(int operation, int file, void *buffer, int registered, size_t place)
{
    _Atomic unsigned *tail = (_Atomic unsigned *)(ring.submissions + ring.is.sq_off.tail);
    _Atomic unsigned *head = (_Atomic unsigned *)(ring.completions + ring.is.cq_off.head);
    unsigned slot = *tail & *(unsigned *)(ring.submissions + ring.is.sq_off.ring_mask);
    ring.entries[slot] = (struct io_uring_sqe){.opcode = (uint8_t)operation, .fd = file, .off = place,
                                               .addr = (uintptr_t)buffer, .len = SIZE, .buf_index = (uint16_t)registered};
    ((unsigned *)(ring.submissions + ring.is.sq_off.array))[slot] = slot;
    atomic_store(tail, *tail + 1);
    CHECK(syscall(SYS_io_uring_enter, ring.file, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1);
    unsigned mask = *(unsigned *)(ring.completions + ring.is.cq_off.ring_mask);
    int result = ((struct io_uring_cqe *)(ring.completions + ring.is.cq_off.cqes))[*head & mask].res;
    atomic_store(head, *head + 1);
    return result;
}

int main(void)
{
    unsigned char *from[BUFFERS], *to[BUFFERS];
    struct iovec pinned[BUFFERS];
    start_paged();
    set_up();
    FILE *file = tmpfile();
    CHECK(file != NULL);
    for (int i = 0; i < BUFFERS; i++) {
        from[i] = make_painted(SIZE, 1).start;
        to[i] = make_painted(SIZE, 2).start;
        pinned[i] = (struct iovec){make_painted(SIZE, 3).start, SIZE};
    }
    push_out();
    for (size_t i = 0; i < BUFFERS; i++) {
        CHECK(request(IORING_OP_WRITE, fileno(file), from[i], 0, i * SIZE) == SIZE);
        CHECK(request(IORING_OP_READ, fileno(file), to[i], 0, i * SIZE) == SIZE);
    }
    for (size_t i = 0; i < BUFFERS; i++)
        CHECK(painted(to[i], SIZE, (uintptr_t)from[i] + 1) && painted(from[i], SIZE, (uintptr_t)from[i] + 1));
    if (syscall(SYS_io_uring_register, ring.file, IORING_REGISTER_BUFFERS, pinned, BUFFERS) != 0)
        skip("io_uring registers no buffers here");
    for (int round = 0; round < 2; round++) {
        push_out();
        for (size_t i = 0; i < BUFFERS; i++) {
            CHECK(painted(pinned[i].iov_base, SIZE, round ? (uintptr_t)from[i] + 1 : (uintptr_t)pinned[i].iov_base + 3));
            CHECK(request(IORING_OP_READ_FIXED, fileno(file), pinned[i].iov_base, (int)i, i * SIZE) == SIZE);
        }
    }
    for (size_t i = 0; i < BUFFERS; i++)
        CHECK(painted(pinned[i].iov_base, SIZE, (uintptr_t)from[i] + 1));
    CHECK(close(ring.file) == 0);
    push_out();
    for (size_t i = 0; i < BUFFERS; i++)
        CHECK(painted(pinned[i].iov_base, SIZE, (uintptr_t)from[i] + 1));
    check_budget_is_kept();
    return 0;
}
