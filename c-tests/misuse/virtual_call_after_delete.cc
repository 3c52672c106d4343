/* A virtual function of a deleted object is called. */
#include "misuse.h"

struct base {
    virtual ~base() {}
    virtual void call() {}
};
struct derived : base {
    long value = 3;
    void call() override { byte = (char)value; }
};

int main()
{
    base *volatile gone = new derived;
    delete gone;
    gone->call();
    return go_on(sizeof(derived));
}
