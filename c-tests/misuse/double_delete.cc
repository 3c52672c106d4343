/* An object is deleted twice. */
#include "misuse.h"

int main()
{
    long *volatile twice = new long(5);
    delete twice;
    delete twice;
    return go_on(sizeof(long));
}
