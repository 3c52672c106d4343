/* An array of objects with destructors is deleted as one object. */
#include "misuse.h"

struct item {
    long value = 1;
    ~item() { byte = (char)value; }
};

int main()
{
    item *volatile array = new item[3];
    delete array;
    return go_on(3 * sizeof(item) + 8);
}
