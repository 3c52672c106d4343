/* The operations of one run of the fuzzer (tests/fuzz.rs):

       fuzz SEED OPERATIONS THREADS CORRUPTION

   Each of THREADS threads does OPERATIONS operations of a sequence that SEED gives: allocate through
   every door, free, realloc, check contents, exchange blocks with the other threads, go on in another
   thread, fork. In the second half one of them may do CORRUPTION (see `corruptions`; none: nothing)
   and says so on standard error; then all go on and free everything.

   Ends: 0; 2 contents differ; 3 contents differ after a corruption, which it explains; 4 a door broke
   its promise; 5 a child that was forked after the corruption was aborted; 6 a child ended in another
   way. Nothing of the program's own is in the heap but the blocks. */
#include "../check.h"
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>

enum {
    MOST_THREADS = 4,
    SLOTS = 256,
    SHARED_SLOTS = 64,
    ROUNDS = 4,
    MOST_FORKS = 4,
    IN_CHILD = 2000,
    /* How late memory is written to after its free. */
    MOST_DELAY = 100,
};

/* How a block was allocated, which says how it may be freed. */
enum family { PLAIN, ALIGNED, OTHER, NEW, NEW_ALIGNED, FAMILIES };

struct block {
    unsigned char *address; /* NULL: there is none */
    size_t bytes, alignment;
    uint64_t contents;
    enum family family;
};

struct worker {
    struct block block[SLOTS];
    uint64_t random;
    size_t done, until, corrupts_at, forks;
};

struct shared_slot {
    _Alignas(64) atomic_flag taken;
    struct block block;
};

static struct worker workers[MOST_THREADS];
static struct shared_slot shared[SHARED_SLOTS];
static size_t corruption;
static _Atomic(const char *) corrupted;
static int timer, is_child;

static void (*free_sized_door)(void *, size_t);
static void (*free_aligned_sized_door)(void *, size_t, size_t);
static void *(*new_door)(size_t);
static void *(*new_aligned_door)(size_t, size_t);
static void (*delete_door)(void *);
static void (*delete_sized_door)(void *, size_t);
static void (*delete_aligned_door)(void *, size_t, size_t);

static void find_doors(void)
{
#define FIND(door, name) *(void **)&door = dlsym(RTLD_DEFAULT, name)
    FIND(free_sized_door, "free_sized");
    FIND(free_aligned_sized_door, "free_aligned_sized");
    FIND(new_door, "_Znwm");
    FIND(new_aligned_door, "_ZnwmSt11align_val_t");
    FIND(delete_door, "_ZdlPv");
    FIND(delete_sized_door, "_ZdlPvm");
    FIND(delete_aligned_door, "_ZdlPvmSt11align_val_t");
    if (!delete_door || !delete_sized_door || !delete_aligned_door)
        new_door = NULL, new_aligned_door = NULL;
}

/* Not by dprintf: its stream, on the stack, is in the list of all streams meanwhile. The child of a
   fork in another thread, in which threads get that stack again, would find garbage at exit. */
__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    char line[512];
    va_list values;
    va_start(values, format);
    int length = vsnprintf(line, sizeof line, format, values);
    va_end(values);
    if (length > 0 && write(2, line, length < (int)sizeof line ? length : (int)sizeof line - 1) < 0)
        return;
}

/* ---- contents ------------------------------------------------------------------------------- */

__attribute__((noreturn)) static void contents_differ(const struct block *block, size_t offset)
{
    const char *after = corrupted;
    say("fuzz: contents of block %p of %zu bytes differ at offset %zu%s%s\n",
        (void *)block->address, block->bytes, offset, after ? " after " : "",
            after ? after : "");
    _exit(after ? 3 : 2);
}

#define PROMISE(condition, block) \
    ((condition) ? (void)0 : promise_broken(__LINE__, #condition, block))

__attribute__((noreturn)) static void promise_broken(int line, const char *promise,
                                                     const struct block *block)
{
    const char *after = corrupted;
    say("fuzz: line %d: not so: %s: block %p of %zu bytes, aligned to %zu (errno %d)%s%s\n",
        line, promise, (void *)block->address, block->bytes, block->alignment, errno,
            after ? " after " : "", after ? after : "");
    _exit(4);
}

/* The next offset that is written and checked: all of the first and the last bytes, some between,
   since large blocks would take all the time. */
static size_t next_offset(size_t offset, size_t bytes)
{
    const size_t edge = 256, stride = 509;
    if (bytes <= 4 * edge || offset < edge || offset + 1 + edge >= bytes)
        return offset + 1;
    return offset + stride < bytes - edge ? offset + stride : bytes - edge;
}

static unsigned char byte_at(const struct block *block, size_t offset)
{
    uint64_t word = (block->contents + offset) * 0x9e3779b97f4a7c15;
    return (unsigned char)(word >> 56);
}

static void write_contents(struct block *block, uint64_t contents)
{
    block->contents = contents;
    for (size_t offset = 0; offset < block->bytes; offset = next_offset(offset, block->bytes))
        block->address[offset] = byte_at(block, offset);
}

/* Checks what `block` wrote below offset `limit`; the bytes may have moved to `address`. */
static void check_contents(const struct block *block, const unsigned char *address, size_t limit)
{
    for (size_t offset = 0; offset < limit; offset = next_offset(offset, block->bytes))
        if (address[offset] != byte_at(block, offset))
            contents_differ(block, offset);
}

static void check_zero(const struct block *block)
{
    for (size_t offset = 0; offset < block->bytes; offset = next_offset(offset, block->bytes))
        if (block->address[offset] != 0) {
            say("fuzz: calloc'ed byte is %d\n", block->address[offset]);
            contents_differ(block, offset);
        }
}

/* ---- the doors ------------------------------------------------------------------------------ */

/* As programs ask: most are small, a few go to some MiB; around powers of two now and then. */
static size_t size_to_ask(uint64_t *random)
{
    size_t kind = next_random(random) % 1000;
    size_t most = kind < 850 ? KIB : kind < 970 ? 40 * KIB : kind < 997 ? 300 * KIB : 4 * MIB;
    size_t limit = 16;
    while (limit < most && next_random(random) % 8 != 0)
        limit *= 2;
    if (next_random(random) % 16 == 0)
        return limit - 2 + next_random(random) % 4;
    return next_random(random) % limit;
}

static void allocate(struct block *block, uint64_t *random, size_t bytes)
{
    size_t alignment = (size_t)8 << next_random(random) % (next_random(random) % 16 ? 6 : 14);
    void *address = NULL;
    int is_zero = 0;
    block->bytes = bytes;
    block->alignment = bytes < 16 ? 8 : 16;
    block->family = PLAIN;
    switch (next_random(random) % 16) {
    case 0: case 1: case 2:
        address = calloc(1, bytes);
        is_zero = 1;
        break;
    case 3:
        address = realloc(NULL, bytes);
        break;
    case 4:
        address = reallocarray(NULL, bytes / 3, 3);
        block->bytes = bytes / 3 * 3;
        block->alignment = 8;
        break;
    case 5:
        block->bytes = (bytes + alignment - 1) / alignment * alignment;
        block->alignment = alignment;
        block->family = ALIGNED;
        address = aligned_alloc(alignment, block->bytes);
        break;
    case 6:
        block->alignment = alignment;
        block->family = OTHER;
        if (posix_memalign(&address, alignment, bytes) != 0)
            address = NULL;
        break;
    case 7:
        block->alignment = alignment;
        block->family = OTHER;
        address = memalign(alignment, bytes);
        break;
    case 8:
        if (next_random(random) % 8 == 0) {
            block->alignment = (size_t)sysconf(_SC_PAGESIZE);
            block->family = OTHER;
            address = valloc(bytes);
            break;
        }
        /* fall through */
    case 9:
        if (new_door) {
            block->family = NEW;
            address = new_door(bytes);
            break;
        }
        /* fall through */
    case 10:
        if (new_aligned_door) {
            block->family = NEW_ALIGNED;
            block->alignment = alignment;
            address = new_aligned_door(bytes, alignment);
            break;
        }
        /* fall through */
    default:
        address = malloc(bytes);
    }
    PROMISE(address != NULL, block);
    block->address = address;
    PROMISE((uintptr_t)address % block->alignment == 0, block);
    if (next_random(random) % 16 == 0)
        PROMISE(malloc_usable_size(address) >= block->bytes, block);
    if (is_zero)
        check_zero(block);
    write_contents(block, next_random(random));
}

static void free_unchecked(const struct block *block, uint64_t *random)
{
    int sized = next_random(random) % 2 == 0;
    switch (block->family) {
    case NEW:
        sized ? delete_sized_door(block->address, block->bytes) : delete_door(block->address);
        break;
    case NEW_ALIGNED:
        delete_aligned_door(block->address, block->bytes, block->alignment);
        break;
    case PLAIN:
        if (sized && free_sized_door)
            free_sized_door(block->address, block->bytes);
        else
            free(block->address);
        break;
    case ALIGNED:
        if (sized && free_aligned_sized_door) {
            free_aligned_sized_door(block->address, block->alignment, block->bytes);
            break;
        }
        /* fall through */
    default:
        free(block->address);
    }
}

static void check_and_free(struct block *block, uint64_t *random)
{
    if (block->address) {
        check_contents(block, block->address, block->bytes);
        free_unchecked(block, random);
        block->address = NULL;
    }
}

static void resize(struct block *block, uint64_t *random)
{
    size_t bytes = size_to_ask(random);
    if (next_random(random) % 2 == 0) /* as a vector grows */
        bytes = block->bytes < 2 * MIB ? block->bytes + block->bytes / 2 + 1 : 100;
    if (block->family == NEW || block->family == NEW_ALIGNED || bytes == 0) {
        check_contents(block, block->address, block->bytes);
        return;
    }
    unsigned char *address = next_random(random) % 4 == 0
                                 ? reallocarray(block->address, 1, bytes)
                                 : realloc(block->address, bytes);
    PROMISE(address != NULL, block);
    check_contents(block, address, bytes < block->bytes ? bytes : block->bytes);
    *block = (struct block){address, bytes, bytes < 16 ? 8 : 16, 0, PLAIN};
    PROMISE((uintptr_t)address % block->alignment == 0, block);
    write_contents(block, next_random(random));
}

/* ---- a signal handler that allocates -------------------------------------------------------- */

static _Thread_local struct block handlers_block[4];
static _Thread_local uint64_t handlers_random;

static void on_alarm(int signal)
{
    int error = errno;
    if (handlers_random == 0)
        handlers_random = (uintptr_t)&handlers_random | (uint64_t)signal;
    struct block *block = &handlers_block[next_random(&handlers_random) % 4];
    check_and_free(block, &handlers_random);
    allocate(block, &handlers_random, size_to_ask(&handlers_random) % (8 * KIB));
    errno = error;
}

static void start_timer(void)
{
    struct itimerval each = {{0, 700}, {0, 700}};
    if (timer)
        CHECK(setitimer(ITIMER_REAL, &each, NULL) == 0);
}

/* At the end of a thread: its handler's blocks would be lost. */
static void free_handlers_blocks(void)
{
    sigset_t alarm;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    CHECK(pthread_sigmask(SIG_BLOCK, &alarm, NULL) == 0);
    for (size_t i = 0; i < 4; i++)
        check_and_free(&handlers_block[i], &handlers_random);
}

/* ---- corruptions ---------------------------------------------------------------------------- */

static const char *const corruptions[] = {
    "none", "overflow", "underflow", "write-after-free", "late-write-after-free", "double-free",
    "late-double-free", "free-inside", "free-wild", "free-stack", "wrong-size", "wrong-alignment",
};

static void announce(const struct block *block)
{
    corrupted = corruptions[corruption];
    say("fuzz: corruption: %s: block %p of %zu bytes\n", corrupted, (void *)block->address,
        block->bytes);
}

/* The C library has one block for each thread (the vector of its thread-local storage, some 300
   bytes), which it trusts: what harms that is no finding. Blocks of other sizes have other
   neighbours. */
static int may_be_corrupted(const struct block *block)
{
    return block->address && (block->bytes < 128 || block->bytes > 640);
}

static void step(struct worker *worker);

static void corrupt(struct worker *worker)
{
    uint64_t *random = &worker->random;
    const char *kind = corruptions[corruption];
    struct block *block = &worker->block[next_random(random) % SLOTS];
    while (!may_be_corrupted(block)) {
        check_and_free(block, random);
        allocate(block, random, size_to_ask(random));
    }
    size_t few = 1 + next_random(random) % 64;
    struct block was = *block;
    volatile unsigned char *byte = was.address;

    if (strcmp(kind, "overflow") == 0) {
        announce(block);
        for (size_t i = 0; i < few; i++)
            byte[was.bytes + i] ^= 0x5a;
    } else if (strcmp(kind, "underflow") == 0) {
        announce(block);
        for (size_t i = 1; i <= few; i++)
            *(byte - i) ^= 0x5a;
    } else if (strstr(kind, "write-after-free") || strstr(kind, "double-free")) {
        check_and_free(block, random);
        if (strstr(kind, "late"))
            for (size_t i = next_random(random) % MOST_DELAY; i > 0; i--)
                step(worker);
        announce(&was);
        if (strstr(kind, "double"))
            free(was.address);
        else if (was.bytes > 0)
            byte[next_random(random) % was.bytes] ^= 0x5a;
    } else if (strcmp(kind, "free-inside") == 0) {
        announce(block);
        free(was.address + 1 + next_random(random) % (was.bytes + 1));
    } else if (strcmp(kind, "free-wild") == 0) {
        /* Odd, so no block starts there. */
        announce(block);
        free((void *)(((uintptr_t)byte + next_random(random) % MIB - MIB / 2) | 1));
    } else if (strcmp(kind, "free-stack") == 0) {
        _Alignas(16) char on_stack[64];
        announce(block);
        free(on_stack + 16);
    } else if (strcmp(kind, "wrong-size") == 0 && free_sized_door) {
        while (block->family != PLAIN || !may_be_corrupted(block)) {
            check_and_free(block, random);
            allocate(block, random, size_to_ask(random));
        }
        was = *block;
        block->address = NULL;
        announce(&was);
        free_sized_door(was.address, was.bytes + few);
    } else if (strcmp(kind, "wrong-alignment") == 0 && free_aligned_sized_door) {
        while (block->family != ALIGNED || !may_be_corrupted(block)) {
            check_and_free(block, random);
            allocate(block, random, size_to_ask(random));
        }
        was = *block;
        block->address = NULL;
        announce(&was);
        free_aligned_sized_door(was.address, was.alignment * 2, was.bytes);
    }
}

/* ---- operations ----------------------------------------------------------------------------- */

static void run_until(struct worker *worker, size_t until)
{
    while (worker->done < until)
        step(worker);
}

static void exchange(struct worker *worker, struct block *block)
{
    struct shared_slot *slot = &shared[next_random(&worker->random) % SHARED_SLOTS];
    if (atomic_flag_test_and_set_explicit(&slot->taken, memory_order_acquire))
        return;
    struct block theirs = slot->block;
    slot->block = *block;
    *block = theirs;
    atomic_flag_clear_explicit(&slot->taken, memory_order_release);
}

static void free_everything(struct worker *worker)
{
    for (size_t i = 0; i < SLOTS; i++)
        check_and_free(&worker->block[i], &worker->random);
}

static void *run_in_thread(void *worker)
{
    run_until(worker, ((struct worker *)worker)->until);
    free_handlers_blocks();
    return NULL;
}

/* The next operations happen in a thread of their own. */
static void switch_thread(struct worker *worker)
{
    pthread_t thread;
    size_t until = worker->until, next = worker->done + next_random(&worker->random) % 200;
    worker->until = next < until ? next : until;
    if (pthread_create(&thread, NULL, run_in_thread, worker) == 0)
        CHECK(pthread_join(thread, NULL) == 0);
    worker->until = until;
}

/* The child's share of the shared slots is those that this thread holds during the fork: others may
   be half written. */
static void fork_here(struct worker *worker)
{
    int held[SHARED_SLOTS];
    for (size_t i = 0; i < SHARED_SLOTS; i++)
        held[i] = next_random(&worker->random) % 2 == 0 &&
                  !atomic_flag_test_and_set_explicit(&shared[i].taken, memory_order_acquire);
    pid_t child = fork();
    for (size_t i = 0; i < SHARED_SLOTS; i++) {
        if (child == 0 && !held[i])
            shared[i].block.address = NULL;
        if (child == 0 || held[i])
            atomic_flag_clear_explicit(&shared[i].taken, memory_order_release);
    }
    if (child == 0) {
        is_child = 1;
        start_timer();
        worker->until = worker->done + IN_CHILD;
        run_until(worker, worker->until);
        free_everything(worker);
        if (next_random(&worker->random) % 2 == 0)
            _exit(0);
        exit(0);
    }
    int status;
    if (child < 0)
        return;
    while (waitpid(child, &status, 0) != child)
        CHECK(errno == EINTR);
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
        _exit(WEXITSTATUS(status));
    if (WIFSIGNALED(status)) {
        say("fuzz: child %d was killed by signal %d\n", child, WTERMSIG(status));
        _exit(WTERMSIG(status) == SIGABRT && corrupted ? 5 : 6);
    }
}

static void step(struct worker *worker)
{
    uint64_t *random = &worker->random;
    struct block *block = &worker->block[next_random(random) % SLOTS];
    size_t kind = next_random(random) % 10000;
    worker->done++;
    if (worker->done == worker->corrupts_at && !is_child) {
        corrupt(worker);
    } else if (kind < 4) {
        if (worker->forks < MOST_FORKS && !is_child) {
            worker->forks++;
            fork_here(worker);
        }
    } else if (kind < 24) {
        switch_thread(worker);
    } else if (kind < 28) {
        malloc_trim(next_random(random) % (64 * KIB));
    } else if (kind < 1000) {
        exchange(worker, block);
    } else if (block->address == NULL) {
        allocate(block, random, size_to_ask(random));
    } else if (kind < 3000) {
        resize(block, random);
    } else if (kind < 4000) {
        size_t bytes = block->bytes;
        check_and_free(block, random);
        allocate(block, random, bytes);
    } else if (kind < 5000) {
        check_contents(block, block->address, block->bytes);
    } else {
        check_and_free(block, random);
    }
}

int main(int count, char **argument)
{
    CHECK(count == 5);
    uint64_t seed = strtoull(argument[1], NULL, 10);
    size_t operations = strtoull(argument[2], NULL, 10);
    size_t threads = strtoull(argument[3], NULL, 10);
    CHECK(threads >= 1 && threads <= MOST_THREADS);
    size_t kinds = sizeof corruptions / sizeof corruptions[0];
    while (corruption < kinds && strcmp(corruptions[corruption], argument[4]) != 0)
        corruption++;
    CHECK(corruption < kinds);

    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    find_doors();
    uint64_t random = (seed + 1) * 0x9e3779b97f4a7c15;
    for (size_t i = 0; i < threads; i++)
        workers[i].random = (next_random(&random) ^ i) | 1;
    if (corruption != 0)
        workers[next_random(&random) % threads].corrupts_at =
            operations / 2 + next_random(&random) % (operations / 4);

    timer = next_random(&random) % 2 == 0;
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    start_timer();

    /* In each round another thread goes on with a worker's blocks; the first is this one. */
    for (size_t round = 1; round <= ROUNDS; round++) {
        pthread_t thread[MOST_THREADS];
        int started[MOST_THREADS] = {0};
        for (size_t i = 0; i < threads; i++) {
            struct worker *worker = &workers[(i + round) % threads];
            worker->until = operations * round / ROUNDS;
            if (i > 0)
                started[i] = pthread_create(&thread[i], NULL, run_in_thread, worker) == 0;
        }
        run_until(&workers[round % threads], workers[round % threads].until);
        for (size_t i = 1; i < threads; i++)
            if (started[i])
                CHECK(pthread_join(thread[i], NULL) == 0);
            else
                run_until(&workers[(i + round) % threads], operations * round / ROUNDS);
    }
    free_handlers_blocks();
    for (size_t i = 0; i < threads; i++)
        free_everything(&workers[i]);
    for (size_t i = 0; i < SHARED_SLOTS; i++)
        check_and_free(&shared[i].block, &random);
    return 0;
}
