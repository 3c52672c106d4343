/* expect: abort "fatal: write to memory of glebe's own: ptr=0x"
   modes: link static
   under: GLEBE_HARDENED=1
   under: GLEBE_HARDENED=1 GLEBE_GUARD=mprotect */
#include "check.h"
#include "glebe.h"

/* The options: what is glebe's own and read-only. */
int main(void)
{
    free(malloc(100));
    if (sysconf(_SC_PAGESIZE) != 4096)
        skip("options are not read-only where pages are large");
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[1000];
    CHECK(maps);
    while (fgets(line, sizeof line, maps)) {
        char *rights;
        volatile char *start = (volatile char *)strtoull(line, &rights, 16);
        strtoull(rights + 1, &rights, 16);
        if (strncmp(rights, " r--p", 5) == 0
            && glebe_address_kind((const char *)start) == GLEBE_KIND_OWN)
            *start = 1;
    }
    return 0;
}
