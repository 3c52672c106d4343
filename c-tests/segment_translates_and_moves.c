/* expect: exit 0
   modes: link static
   Offsets are checked against the limit and lead to the same bytes wherever the segment moves; the
   limit moves up and down, what comes in is zero; a move copies nothing and overwrites nothing. */
#include "check.h"
#include "glebe.h"
#include <sys/mman.h>

static glebe_segment segment;
static const glebe_segment_registers *registers;

/* A translation by the call and by the registers: the same, or both refused. */
static char *at(size_t offset, size_t length)
{
    void *address = NULL;
    int error = glebe_segment_translate(segment, offset, length, &address);
    CHECK(error == GLEBE_SEGMENT_OK || error == GLEBE_SEGMENT_OUTSIDE);
    CHECK((error ? NULL : address) == glebe_segment_at(registers, offset, length));
    return error ? NULL : address;
}

int main(void)
{
    glebe_segment_options options = {.struct_size = sizeof options, .size = 100001,
                                     .most_size = 64 * MIB, .protection = GLEBE_PROTECT_READ_WRITE};
    CHECK(glebe_segment_create(&options, &segment) == GLEBE_SEGMENT_OK);
    CHECK(glebe_segment_get_registers(segment, &registers) == GLEBE_SEGMENT_OK);
    CHECK(registers->limit == 100001 && registers->base % (2 * MIB) == 0);
    CHECK(holds(at(0, 100001), 100001, 0));
    CHECK(at(100000, 1) && at(100001, 0) && !at(100001, 1) && !at(0, 100002));
    CHECK(!at(SIZE_MAX, 1) && !at(1, SIZE_MAX) && !at(SIZE_MAX, SIZE_MAX));

    uint64_t random = 3;
    int seed = 1;
    size_t limit = 100001;
    for (int i = 0; i < 300; i++) {
        fill(at(0, limit), limit, seed);
        size_t next = 1 + next_random(&random) % (i % 20 ? 300 * KIB : 64 * MIB);
        if (next > limit) {
            CHECK(glebe_segment_expand(segment, next) == GLEBE_SEGMENT_OK);
            CHECK(holds(at(limit, next - limit), next - limit, 0));
        } else {
            CHECK(glebe_segment_contract(segment, next) == GLEBE_SEGMENT_OK);
            CHECK(!at(next, 1));
        }
        size_t kept = next < limit ? next : limit, before = registers->base;
        CHECK(glebe_segment_relocate(segment, NULL) == GLEBE_SEGMENT_OK);
        CHECK(registers->base != before && registers->limit == next);
        CHECK(holds(at(0, kept), kept, seed));
        /* Where it was is free again. */
        void *old = mmap((void *)before, 64 * MIB, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
        CHECK(old == (void *)before && munmap(old, 64 * MIB) == 0);
        limit = next;
        seed = seed % 200 + 1;
    }

    /* To a base of the program's choice, but over nothing. */
    char *room = mmap(NULL, 128 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    fill(at(0, limit), limit, seed);
    size_t base = registers->base;
    CHECK(glebe_segment_relocate(segment, room + 4096) == GLEBE_SEGMENT_BAD_BASE);
    CHECK(glebe_segment_relocate(segment, room + 1) == GLEBE_SEGMENT_UNALIGNED);
    CHECK(glebe_segment_relocate(segment, (void *)(UINTPTR_MAX - 4095)) == GLEBE_SEGMENT_OVERFLOW);
    CHECK(registers->base == base && holds(at(0, limit), limit, seed));
    CHECK(munmap(room, 128 * MIB) == 0);
    CHECK(glebe_segment_relocate(segment, room + 4096) == GLEBE_SEGMENT_OK);
    CHECK(registers->base == (size_t)room + 4096 && holds(at(0, limit), limit, seed));

    /* A move brings nothing into memory: what is resident moves, the rest stays absent. */
    CHECK(glebe_segment_expand(segment, 64 * MIB) == GLEBE_SEGMENT_OK);
    size_t before = resident_bytes();
    for (int i = 0; i < 100; i++)
        CHECK(glebe_segment_relocate(segment, NULL) == GLEBE_SEGMENT_OK);
    CHECK(resident_bytes() < before + MIB);
    CHECK(glebe_segment_delete(segment) == GLEBE_SEGMENT_OK);
    CHECK(registers->limit == 0);
    return 0;
}
