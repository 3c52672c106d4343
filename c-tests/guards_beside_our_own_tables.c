/* expect: abort "fatal: write to memory of glebe's own: ptr=0x"
   modes: link static
   under: GLEBE_HARDENED=1
   under: GLEBE_HARDENED=1 GLEBE_SOURCE=mmap
   under: GLEBE_HARDENED=1 GLEBE_GUARD=mprotect */
#include "check.h"
#include "glebe.h"

/* The last page before a table of ours that lies in the mapping, or NULL. */
static volatile char *guard_in(char *start, char *end)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (char *at = start; at < end && at < start + 16 * MIB; at += page)
        if (glebe_address_kind(at - 1) == GLEBE_KIND_GUARD_PAGE
            && glebe_address_kind(at) == GLEBE_KIND_OWN)
            return at - 1;
    return NULL;
}

int main(void)
{
    free(malloc(100));
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[1000];
    CHECK(maps);
    while (fgets(line, sizeof line, maps)) {
        char *end, *start = (char *)strtoull(line, &end, 16);
        volatile char *guard = guard_in(start, (char *)strtoull(end + 1, NULL, 16));
        if (guard)
            *guard = 1;
    }
    return 0;
}
