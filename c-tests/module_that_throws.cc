/* expect: module
   Brings libstdc++ into a process that started without it. */
#include "check.h"
#include <initializer_list>
#include <new>

static int calls;
static void handler()
{
    if (++calls == 3)
        std::set_new_handler(nullptr);
}

extern "C" int catches_bad_alloc()
{
    int caught = 0;
    for (size_t size : {(size_t)PTRDIFF_MAX, SIZE_MAX})
        try {
            operator new(size);
        } catch (const std::bad_alloc &) {
            caught++;
        }
    return caught;
}

extern "C" int handler_calls()
{
    std::set_new_handler(handler);
    return catches_bad_alloc() == 2 ? calls : -1;
}

extern "C" int nothrow_is_null()
{
    std::set_new_handler([] { throw std::bad_alloc(); });
    return operator new(SIZE_MAX, std::nothrow) == nullptr;
}
