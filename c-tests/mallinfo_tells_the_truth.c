/* expect: exit 0
   modes: link preload static
   flags: -Wno-deprecated-declarations */
#include "check.h"

enum { COUNT = 4096 };

static void check_growth(size_t size, int count)
{
    static void *block[COUNT];
    struct mallinfo2 before = mallinfo2();
    for (int i = 0; i < count; i++)
        block[i] = malloc(size);
    struct mallinfo2 peak = mallinfo2();
    struct mallinfo same = mallinfo();
    for (int i = 0; i < count; i++)
        free(block[i]);
    struct mallinfo2 after = mallinfo2();
    size_t asked = size * count, live = peak.uordblks + peak.hblkhd;
    size_t grown = live - before.uordblks - before.hblkhd;
    CHECK(grown >= asked && grown <= asked + asked / 8 + MIB);
    CHECK(after.uordblks + after.hblkhd <= before.uordblks + before.hblkhd + MIB);
    CHECK(peak.arena >= peak.uordblks);
    CHECK((size_t)same.uordblks == peak.uordblks && (size_t)same.hblkhd == peak.hblkhd);
    if (size > MIB) {
        CHECK(peak.hblks == before.hblks + count && peak.hblkhd >= before.hblkhd + asked);
        CHECK(after.hblks == before.hblks);
    }
}

int main(void)
{
    check_growth(64, COUNT);
    check_growth(5000, COUNT);
    check_growth(100 * KIB, 500);
    check_growth(5 * MIB, 20);
    return 0;
}
