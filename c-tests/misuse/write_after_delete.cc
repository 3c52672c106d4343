/* A member of a deleted object is written. */
#include "misuse.h"

struct item {
    long key;
    long value;
};

int main()
{
    item *volatile gone = new item;
    delete gone;
    gone->value = 7;
    return go_on(sizeof(item));
}
