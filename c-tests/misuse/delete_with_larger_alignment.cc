/* A block of aligned new is deleted with a larger alignment. */
#include "misuse.h"
#include <new>

int main()
{
    do
        block = (char *)operator new(192, std::align_val_t(64));
    while ((uintptr_t)block % 4096 == 0);
    operator delete(block, 192, std::align_val_t(4096));
    return go_on(192);
}
