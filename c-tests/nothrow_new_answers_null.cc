/* expect: exit 0
   modes: link preload static
   Without a handler, with one that gives up, and with one that throws. */
#include "check.h"
#include <initializer_list>
#include <new>

static int calls;

static void check_null()
{
    using std::align_val_t;
    using std::nothrow;
    for (size_t size : {(size_t)PTRDIFF_MAX, SIZE_MAX - 20, SIZE_MAX}) {
        CHECK(operator new(size, nothrow) == nullptr);
        CHECK(operator new[](size, nothrow) == nullptr);
        CHECK(operator new(size, align_val_t{64}, nothrow) == nullptr);
        CHECK(operator new[](size, align_val_t{64}, nothrow) == nullptr);
    }
}

int main()
{
    check_null();
    std::set_new_handler([] {
        calls++;
        std::set_new_handler(nullptr);
    });
    check_null();
    CHECK(calls == 1);
    std::set_new_handler([] {
        calls++;
        throw std::bad_alloc();
    });
    check_null();
    CHECK(calls == 13);
    return 0;
}
