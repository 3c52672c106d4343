/* expect: exit 0
   modes: link preload static
   Each throwing new that cannot have memory throws std::bad_alloc past frames with destructors. */
#include "check.h"
#include <initializer_list>
#include <new>

static int unwound;
struct Guard {
    ~Guard() { unwound++; }
};

template <typename New> static void refuses(New make)
{
    int before = unwound;
    bool caught = false;
    try {
        Guard guard;
        make();
    } catch (const std::bad_alloc &error) {
        caught = error.what() != nullptr;
    }
    CHECK(caught && unwound == before + 1);
}

int main()
{
    for (int round = 0; round < 1000; round++)
        for (size_t size : {(size_t)PTRDIFF_MAX, (size_t)PTRDIFF_MAX + 1, SIZE_MAX - 20, SIZE_MAX}) {
            refuses([=] { operator new(size); });
            refuses([=] { operator new[](size); });
            refuses([=] { operator new(size, std::align_val_t{64}); });
            refuses([=] { operator new[](size, std::align_val_t{4096}); });
        }
    return 0;
}
