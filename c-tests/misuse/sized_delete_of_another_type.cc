/* An object is deleted by a pointer to a smaller class that has no virtual destructor. */
#include "misuse.h"

struct base {
    long key = 1;
};
struct derived : base {
    char text[100] = "";
};

int main()
{
    base *volatile object = new derived;
    delete object;
    return go_on(sizeof(derived));
}
