/* expect: module
   Stands in for sigaction, as virtual machines' libraries do that chain handlers. */
#include <dlfcn.h>
#include <signal.h>

int wrapped_calls;

int sigaction(int signal, const struct sigaction *new, struct sigaction *old)
{
    int (*next)(int, const struct sigaction *, struct sigaction *);
    *(void **)&next = dlsym(RTLD_NEXT, "sigaction");
    wrapped_calls++;
    return next(signal, new, old);
}
