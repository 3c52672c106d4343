/* A block of aligned new is deleted with a larger alignment. */
#include "misuse.h"
#include <new>

int main()
{
    do
        block = (char *)operator new(192, std::align_val_t(64));
    while ((uintptr_t)block % 256 == 0);
    operator delete(block, 192, std::align_val_t(256));
    return go_on(192);
}
