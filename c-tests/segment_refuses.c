/* expect: exit 0
   modes: link static
   Every bad argument has its error, and changes nothing; errno is kept. */
#include "check.h"
#include "glebe.h"
#include <fcntl.h>
#include <sys/mman.h>

static glebe_segment_options options = {.struct_size = sizeof options, .size = 5000,
                                        .most_size = 20000, .protection = GLEBE_PROTECT_READ_WRITE};

static int created_with(glebe_segment_options with)
{
    glebe_segment segment = {99};
    int error = glebe_segment_create(&with, &segment);
    CHECK(error == GLEBE_SEGMENT_OK || segment.id == 99);
    CHECK(error || glebe_segment_delete(segment) == GLEBE_SEGMENT_OK);
    return error;
}

static void no_handle(glebe_segment bad)
{
    void *address = &address;
    const glebe_segment_registers *registers = NULL;
    CHECK(glebe_segment_translate(bad, 0, 1, &address) == GLEBE_SEGMENT_BAD_HANDLE);
    CHECK(glebe_segment_get_registers(bad, &registers) == GLEBE_SEGMENT_BAD_HANDLE);
    CHECK(address == &address && registers == NULL);
    CHECK(glebe_segment_expand(bad, 6000) == GLEBE_SEGMENT_BAD_HANDLE);
    CHECK(glebe_segment_contract(bad, 10) == GLEBE_SEGMENT_BAD_HANDLE);
    CHECK(glebe_segment_protect(bad, GLEBE_PROTECT_READ) == GLEBE_SEGMENT_BAD_HANDLE);
    CHECK(glebe_segment_relocate(bad, NULL) == GLEBE_SEGMENT_BAD_HANDLE);
    CHECK(glebe_segment_save(bad, "segment-image") == GLEBE_SEGMENT_BAD_HANDLE);
    CHECK(glebe_segment_delete(bad) == GLEBE_SEGMENT_BAD_HANDLE);
}

int main(void)
{
    errno = 77;
    glebe_segment segment = {99}, none = {0}, absurd = {UINT64_MAX};
    glebe_segment_options with = options;
    CHECK(created_with(options) == GLEBE_SEGMENT_OK);
    CHECK(glebe_segment_create(NULL, &segment) == GLEBE_SEGMENT_BAD_ARGUMENT);
    CHECK(glebe_segment_create(&options, NULL) == GLEBE_SEGMENT_BAD_ARGUMENT);
    with.struct_size = 8;
    CHECK(created_with(with) == GLEBE_SEGMENT_BAD_ARGUMENT);
    with = options, with.size = 0;
    CHECK(created_with(with) == GLEBE_SEGMENT_ZERO_SIZE);
    with = options, with.size = 20001;
    CHECK(created_with(with) == GLEBE_SEGMENT_TOO_LARGE);
    with = options, with.most_size = (size_t)1 << 60;
    CHECK(created_with(with) == GLEBE_SEGMENT_TOO_LARGE);
    with = options, with.most_size = SIZE_MAX;
    CHECK(created_with(with) == GLEBE_SEGMENT_OVERFLOW);
    with = options, with.protection = 3;
    CHECK(created_with(with) == GLEBE_SEGMENT_BAD_PROTECTION);
    with = options, with.base = (char *)0x7000 + 1;
    CHECK(created_with(with) == GLEBE_SEGMENT_UNALIGNED);
    with = options, with.base = (void *)(UINTPTR_MAX - 4095);
    CHECK(created_with(with) == GLEBE_SEGMENT_OVERFLOW);
    char *taken = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    with = options, with.base = taken;
    CHECK(created_with(with) == GLEBE_SEGMENT_BAD_BASE);
    with.base = (void *)((uintptr_t)1 << 62);
    CHECK(created_with(with) == GLEBE_SEGMENT_BAD_BASE);

    CHECK(glebe_segment_create(&options, &segment) == GLEBE_SEGMENT_OK);
    const glebe_segment_registers *registers;
    CHECK(glebe_segment_get_registers(segment, NULL) == GLEBE_SEGMENT_BAD_ARGUMENT);
    CHECK(glebe_segment_get_registers(segment, &registers) == GLEBE_SEGMENT_OK);
    char *bytes = glebe_segment_at(registers, 0, 5000);
    fill(bytes, 5000, 7);
    CHECK(glebe_segment_translate(segment, 0, 1, NULL) == GLEBE_SEGMENT_BAD_ARGUMENT);
    CHECK(glebe_segment_expand(segment, 4999) == GLEBE_SEGMENT_BAD_ARGUMENT);
    CHECK(glebe_segment_contract(segment, 5001) == GLEBE_SEGMENT_BAD_ARGUMENT);
    CHECK(glebe_segment_contract(segment, 0) == GLEBE_SEGMENT_ZERO_SIZE);
    CHECK(glebe_segment_expand(segment, 5 * MIB) == GLEBE_SEGMENT_TOO_LARGE);
    CHECK(glebe_segment_expand(segment, SIZE_MAX) == GLEBE_SEGMENT_TOO_LARGE);
    CHECK(glebe_segment_protect(segment, 3) == GLEBE_SEGMENT_BAD_PROTECTION);
    CHECK(glebe_segment_protect(segment, -1) == GLEBE_SEGMENT_BAD_PROTECTION);
    CHECK(glebe_segment_save(segment, NULL) == GLEBE_SEGMENT_BAD_ARGUMENT);
    CHECK(glebe_segment_load(NULL, &options, &segment) == GLEBE_SEGMENT_BAD_ARGUMENT);
    CHECK(registers->limit == 5000 && registers->base == (size_t)bytes && holds(bytes, 5000, 7));

    /* Attaching what is no memory, too short, or not open for that. */
    glebe_segment attached = {99};
    int memory;
    CHECK(glebe_region_shared_memory(8192, &memory) == GLEBE_REGION_OK);
    CHECK(glebe_segment_attach(-1, &options, &attached) == GLEBE_SEGMENT_BAD_FILE);
    int directory = open("/", O_RDONLY | O_CLOEXEC);
    CHECK(glebe_segment_attach(directory, &options, &attached) == GLEBE_SEGMENT_BAD_FILE);
    with = options, with.most_size = 8192, with.size = 8193;
    CHECK(glebe_segment_attach(memory, &with, &attached) == GLEBE_SEGMENT_BAD_FILE);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
    int read_only = open(path, O_RDONLY | O_CLOEXEC);
    with.size = 100;
    CHECK(glebe_segment_attach(read_only, &with, &attached) == GLEBE_SEGMENT_BAD_PROTECTION);
    CHECK(attached.id == 99);
    with.protection = GLEBE_PROTECT_READ;
    CHECK(glebe_segment_attach(read_only, &with, &attached) == GLEBE_SEGMENT_OK);
    CHECK(glebe_segment_protect(attached, GLEBE_PROTECT_READ_WRITE) ==
          GLEBE_SEGMENT_BAD_PROTECTION);
    CHECK(glebe_segment_delete(attached) == GLEBE_SEGMENT_OK);

    /* Handles that are none, and those that are no more, also when the place is another's. */
    no_handle(none);
    no_handle(absurd);
    CHECK(glebe_segment_delete(segment) == GLEBE_SEGMENT_OK);
    no_handle(segment);
    glebe_segment more[256];
    for (int i = 0; i < 256; i++)
        CHECK(glebe_segment_create(&options, &more[i]) == GLEBE_SEGMENT_OK);
    no_handle(segment);
    CHECK(created_with(options) == GLEBE_SEGMENT_TOO_MANY);
    for (int i = 0; i < 256; i++)
        CHECK(glebe_segment_delete(more[i]) == GLEBE_SEGMENT_OK);
    for (int error = -1; error < 20; error++)
        CHECK(strlen(glebe_segment_error_text(error)) > 3);
    CHECK(errno == 77);
    return 0;
}
