/* expect: exit 0
   modes: link preload
   Of blocks that a program hardly writes into few pages become resident, though those before were
   filled: a wrong guess is found out. */
#include "check.h"

/* About as large as the spans they get. */
enum { BYTES = 240 * KIB, FILLED = 200, SPARSE = 400, PAGE = 4096 };

static void allocate(size_t count, size_t written)
{
    for (size_t i = 0; i < count; i++) {
        char *volatile block = malloc(BYTES);
        CHECK(block != NULL);
        memset(block, 1, written);
    }
}

int main(void)
{
    allocate(SPARSE, PAGE);
    size_t sparse = resident_bytes();
    CHECK(sparse <= SPARSE * PAGE + 8 * MIB);
    allocate(FILLED, BYTES);
    size_t filled = resident_bytes();
    CHECK(filled - sparse >= (size_t)FILLED * BYTES);
    allocate(SPARSE, PAGE);
    CHECK(resident_bytes() - filled <= SPARSE * PAGE + 18 * MIB);
    return 0;
}
