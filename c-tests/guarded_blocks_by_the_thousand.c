/* expect: exit 0
   modes: link
   library: shipped
   under: GLEBE_GUARD_LARGE=1
   under: GLEBE_GUARD_LARGE=1 GLEBE_GUARD=mprotect
   65,530 large objects live at once: all guarded where the kernel marks pages; where it splits
   mappings those that come too late are not, and none fails. */
#include "check.h"
#include "glebe.h"

enum { BLOCKS = 65530 };

static char *block[BLOCKS];

static int mappings(void)
{
    int lines = 0, file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    static char text[65536];
    CHECK(file >= 0);
    for (ssize_t got; (got = read(file, text, sizeof text)) > 0;)
        for (ssize_t at = 0; at < got; at++)
            lines += text[at] == '\n';
    close(file);
    return lines;
}

int main(void)
{
    size_t size = 2 * MIB + 4096;
    glebe_statistics figures = {.struct_size = sizeof figures};
    const char *guard = getenv("GLEBE_GUARD");
    int splits = guard && strcmp(guard, "mprotect") == 0;
    for (int i = 0; i < BLOCKS; i++)
        if (!(block[i] = malloc(size)))
            skip("not enough address space");
    CHECK(glebe_get_statistics(&figures) == 0);
    CHECK(figures.large_live_blocks >= BLOCKS);
    if (splits)
        CHECK(figures.unguarded_objects > 0 && figures.unguarded_objects < BLOCKS);
    else if (figures.unguarded_objects > 0)
        skip("no MADV_GUARD_INSTALL");
    int lines = mappings();
    CHECK(lines < (splits ? 60000 : 1000));
    for (int i = 0; i < BLOCKS; i += 2)
        free(block[i]);
    for (int i = 0; i < BLOCKS; i += 2)
        CHECK((block[i] = malloc(size)));
    for (int i = 0; i < BLOCKS; i++)
        free(block[i]);
    CHECK(malloc(size));
    return 0;
}
