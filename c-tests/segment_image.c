/* expect: exit 0
   modes: link static
   A tree of offset pointers, saved by one process and loaded by another at another base, is the
   same tree; an image that is cut off, changed or none is refused, and a save that fails leaves what
   was there. */
#include "check.h"
#include "glebe.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <signal.h>
#include <sys/wait.h>

enum { NODES = 10000 };

struct node {
    glebe_offset_pointer left, right, itself;
    uint64_t key;
};

struct root {
    glebe_offset_pointer tree;
    size_t used;
    struct node node[NODES];
};

static char path[] = "/tmp/glebe-segment-XXXXXX";
static glebe_segment_options options = {.struct_size = sizeof options, .size = sizeof(struct root),
                                        .most_size = 8 * MIB,
                                        .protection = GLEBE_PROTECT_READ_WRITE};

static struct root *root_of(glebe_segment segment)
{
    void *address;
    CHECK(glebe_segment_translate(segment, 0, sizeof(struct root), &address) == GLEBE_SEGMENT_OK);
    return address;
}

static void insert(struct root *root, uint64_t key)
{
    glebe_offset_pointer *place = &root->tree;
    struct node *node;
    while ((node = glebe_offset_get(place)))
        place = key < node->key ? &node->left : &node->right;
    node = &root->node[root->used++];
    node->key = key;
    glebe_offset_set(&node->itself, &node->itself);
    glebe_offset_set(place, node);
}

static uint64_t last_key;
static int is_sorted;

static size_t count(struct node *node)
{
    if (!node)
        return 0;
    size_t left = count(glebe_offset_get(&node->left));
    is_sorted &= node->key >= last_key;
    CHECK(glebe_offset_get(&node->itself) == &node->itself);
    last_key = node->key;
    return left + 1 + count(glebe_offset_get(&node->right));
}

static int is_whole(struct root *root)
{
    last_key = 0;
    is_sorted = 1;
    size_t nodes = count(glebe_offset_get(&root->tree));
    return is_sorted && root->used == NODES && nodes == NODES;
}

static int load_error(void)
{
    glebe_segment segment = {99};
    int error = glebe_segment_load(path, &options, &segment);
    CHECK(error ? segment.id == 99 : glebe_segment_delete(segment) == GLEBE_SEGMENT_OK);
    return error;
}

int main(void)
{
    glebe_segment segment, loaded;
    int file = mkstemp(path);
    CHECK(file >= 0 && close(file) == 0);
    CHECK(load_error() == GLEBE_SEGMENT_BAD_IMAGE);

    pid_t child = fork();
    if (child == 0) {
        uint64_t random = 5;
        CHECK(glebe_segment_create(&options, &segment) == GLEBE_SEGMENT_OK);
        for (int i = 0; i < NODES; i++)
            insert(root_of(segment), next_random(&random));
        CHECK(is_whole(root_of(segment)));
        CHECK(glebe_segment_relocate(segment, NULL) == GLEBE_SEGMENT_OK);
        CHECK(is_whole(root_of(segment)));
        CHECK(glebe_segment_save(segment, path) == GLEBE_SEGMENT_OK);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);

    /* At a base of our choice, and at another. */
    char *room = mmap(NULL, 32 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(munmap(room, 32 * MIB) == 0);
    options.base = room + 12288;
    CHECK(glebe_segment_load(path, &options, &segment) == GLEBE_SEGMENT_OK);
    CHECK((char *)root_of(segment) == room + 12288 && is_whole(root_of(segment)));
    CHECK(load_error() == GLEBE_SEGMENT_BAD_BASE);
    options.base = NULL;
    CHECK(glebe_segment_load(path, &options, &loaded) == GLEBE_SEGMENT_OK);
    CHECK(is_whole(root_of(loaded)));
    /* Both are private: neither sees the other's writes, nor does the file. */
    root_of(segment)->node[NODES / 2].key = 0;
    CHECK(is_whole(root_of(loaded)) && !is_whole(root_of(segment)));
    CHECK(load_error() == GLEBE_SEGMENT_OK);
    /* It expands, moves and contracts as any. */
    CHECK(glebe_segment_expand(loaded, 8 * MIB) == GLEBE_SEGMENT_OK);
    CHECK(holds((char *)root_of(loaded) + sizeof(struct root), 8 * MIB - sizeof(struct root), 0));
    CHECK(glebe_segment_relocate(loaded, NULL) == GLEBE_SEGMENT_OK && is_whole(root_of(loaded)));
    CHECK(glebe_segment_contract(loaded, sizeof(struct root)) == GLEBE_SEGMENT_OK);
    CHECK(glebe_segment_relocate(loaded, NULL) == GLEBE_SEGMENT_OK && is_whole(root_of(loaded)));
    /* Saving over what is loaded disturbs nobody. */
    CHECK(glebe_segment_save(segment, path) == GLEBE_SEGMENT_OK && is_whole(root_of(loaded)));
    CHECK(glebe_segment_save(loaded, path) == GLEBE_SEGMENT_OK && load_error() == 0);

    /* A save that has no room, no directory, nothing to read: the old image stays. */
    struct rlimit old, limit;
    CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
    limit = old;
    limit.rlim_cur = 100 * KIB;
    signal(SIGXFSZ, SIG_IGN);
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK(glebe_segment_save(loaded, path) == GLEBE_SEGMENT_WRITE_FAILED);
    CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0 && load_error() == 0);
    CHECK(glebe_segment_save(loaded, "/nowhere/at/all") == GLEBE_SEGMENT_WRITE_FAILED);
    CHECK(glebe_segment_protect(loaded, GLEBE_PROTECT_NONE) == GLEBE_SEGMENT_OK);
    CHECK(glebe_segment_save(loaded, path) == GLEBE_SEGMENT_BAD_PROTECTION && load_error() == 0);

    /* Each damage is seen: a byte of the header, of the contents, the end. */
    CHECK((file = open(path, O_RDWR | O_CLOEXEC)) >= 0);
    const off_t length = lseek(file, 0, SEEK_END);
    const off_t places[] = {0, 17, 20, 24, 33, 37, 64 * KIB, 64 * KIB + 5000, length - 1};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char byte, changed;
        CHECK(pread(file, &byte, 1, places[i]) == 1);
        changed = byte ^ 4;
        CHECK(pwrite(file, &changed, 1, places[i]) == 1);
        int error = load_error();
        CHECK(error == GLEBE_SEGMENT_DAMAGED || error == GLEBE_SEGMENT_BAD_IMAGE);
        CHECK(pwrite(file, &byte, 1, places[i]) == 1 && load_error() == 0);
    }
    CHECK(ftruncate(file, length - 1) == 0 && load_error() == GLEBE_SEGMENT_DAMAGED);
    CHECK(ftruncate(file, 100) == 0 && load_error() == GLEBE_SEGMENT_DAMAGED);
    CHECK(ftruncate(file, 10) == 0 && load_error() == GLEBE_SEGMENT_BAD_IMAGE);
    CHECK(unlink(path) == 0 && load_error() == GLEBE_SEGMENT_READ_FAILED);
    return 0;
}
