/* expect: exit 0
   modes: link preload static
   flags: -ldl
   under: nothing
   under: GLEBE_HARDENED=1
   All twenty replaceable operators by symbol: ours, paired freely, aligned as asked. */
#include "check.h"
#include <dlfcn.h>
#include <initializer_list>
#include <new>

int main()
{
    using std::align_val_t;
    using std::nothrow;
    for (size_t size : {size_t(0), size_t(1), size_t(40), size_t(5000), 100 * KIB, 3 * MIB}) {
        void *plain[] = {operator new(size), operator new[](size), operator new(size, nothrow),
                         operator new[](size, nothrow), operator new(size), operator new[](size)};
        for (void *block : plain) {
            CHECK(block && (uintptr_t)block % 16 == 0);
            fill(block, size, 1);
        }
        CHECK(plain[0] != plain[4]);
        operator delete(plain[0]);
        operator delete[](plain[1]);
        operator delete(plain[2], nothrow);
        operator delete[](plain[3], nothrow);
        operator delete(plain[4], size);
        operator delete[](plain[5], size);
        for (size_t alignment = 1; alignment <= 64 * KIB; alignment *= 2) {
            align_val_t to{alignment};
            void *aligned[] = {operator new(size, to), operator new[](size, to), operator new(size, to, nothrow),
                               operator new[](size, to, nothrow), operator new(size, to), operator new[](size, to)};
            for (void *block : aligned) {
                CHECK(block && (uintptr_t)block % alignment == 0);
                fill(block, size, 2);
            }
            operator delete(aligned[0], to);
            operator delete[](aligned[1], to);
            operator delete(aligned[2], to, nothrow);
            operator delete[](aligned[3], to, nothrow);
            operator delete(aligned[4], size, to);
            operator delete[](aligned[5], size, to);
        }
    }
    operator delete(nullptr);
    operator delete[](nullptr, nothrow);
    operator delete(nullptr, align_val_t{64});
    void *crossed = operator new(100);
    free(crossed);
    operator delete(malloc(100));
    return 0;
}
