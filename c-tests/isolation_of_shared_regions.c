/* expect: exit 0
   modes: link static
   What a process writes to shared memory every other sees that has it attached, at whatever address
   and with whatever budget, at once and always: through evictions, releases, deletion and attaching
   anew. Who attaches it to read cannot write. Others see nothing of it: the descriptor is the key. */
#include "isolation.h"
#include "region.h"
#include "touch.h"
#include <sys/socket.h>

enum { SIZE = 4 << 20, UNIT = 16 << 10, ROUNDS = 300 };

static void send_descriptor(int to, int descriptor)
{
    char byte = 0;
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr aligned;
    } control;
    struct iovec part = {&byte, 1};
    struct msghdr message;
    memset(&message, 0, sizeof message);
    memset(&control, 0, sizeof control);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = &control;
    message.msg_controllen = sizeof control.room;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    CHECK(sendmsg(to, &message, 0) == 1);
}

static int receive_descriptor(int from)
{
    char byte;
    int descriptor = -1;
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr aligned;
    } control;
    struct iovec part = {&byte, 1};
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = &control;
    message.msg_controllen = sizeof control.room;
    CHECK(recvmsg(from, &message, 0) == 1 && CMSG_FIRSTHDR(&message));
    memcpy(&descriptor, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof descriptor);
    return descriptor;
}

static char *attach(int memory, size_t budget, int flags, glebe_region *region)
{
    glebe_region_options options = region_options(SIZE, budget);
    options.kind = GLEBE_REGION_SHARED;
    options.page_size = UNIT;
    options.file = memory;
    options.flags = flags;
    return create_region(&options, region);
}

static volatile size_t *word(char *base, int round)
{
    return (volatile size_t *)(base + (size_t)round * 7919 * 8 % SIZE);
}

/* Sends pages away in one way or another; what they hold stays. */
static void disturb(glebe_region region, char *base, int round)
{
    if (round % 3 == 0)
        CHECK(glebe_region_evict(region, base, SIZE) == GLEBE_REGION_OK);
    if (round % 3 == 1)
        CHECK(glebe_region_release(region, base, SIZE) == GLEBE_REGION_OK);
}

int main(void)
{
    int ends[2], memory;
    struct turns parent, other;
    open_turns(&parent, &other);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    glebe_region region, reader;
    /* Before there is any memory: it gets the descriptor alone. */
    pid_t child = fork();
    if (child == 0) {
        memory = receive_descriptor(ends[1]);
        char *base = attach(memory, 256 * KIB, 0, &region);
        for (int round = 0; round < ROUNDS; round++) {
            await(&other);
            CHECK(*word(base, round) == (size_t)round + 1);
            *word(base, round) = ~(size_t)round;
            disturb(region, base, round + 1);
            if (round == ROUNDS / 2) {
                CHECK(glebe_region_delete(region) == GLEBE_REGION_OK);
                base = attach(memory, SIZE, 0, &region);
            }
            pass(&other);
        }
        CHECK(glebe_region_delete(region) == GLEBE_REGION_OK);
        _exit(0);
    }
    CHECK(child > 0);
    CHECK(glebe_region_shared_memory(SIZE, &memory) == GLEBE_REGION_OK);
    char *base = attach(memory, MIB, 0, &region);
    char *seen = attach(memory, 256 * KIB, GLEBE_REGION_READ_ONLY, &reader);
    int unrelated;
    glebe_region apart;
    CHECK(glebe_region_shared_memory(SIZE, &unrelated) == GLEBE_REGION_OK);
    char *not_shared = attach(unrelated, MIB, 0, &apart);
    send_descriptor(ends[0], memory);
    signal(SIGSEGV, leave_touch);
    CHECK(can_read(seen) && !can_write(seen));
    for (int round = 0; round < ROUNDS; round++) {
        *word(base, round) = (size_t)round + 1;
        disturb(region, base, round);
        CHECK(*word(seen, round) == (size_t)round + 1);
        pass(&parent);
        await(&parent);
        CHECK(*word(base, round) == ~(size_t)round && *word(seen, round) == ~(size_t)round);
    }
    ends_well(child);
    for (int round = 0; round < ROUNDS; round++)
        CHECK(*word(base, round) == ~(size_t)round && *word(not_shared, round) == 0);
    CHECK(glebe_region_delete(region) == GLEBE_REGION_OK);
    CHECK(glebe_region_delete(reader) == GLEBE_REGION_OK);
    CHECK(glebe_region_delete(apart) == GLEBE_REGION_OK);
    return 0;
}
