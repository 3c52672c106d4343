/* expect: exit 0
   modes: link preload static
   Well formed, in glibc's shape, with figures that follow the heap. */
#include "check.h"

static char text[65536];

static void read_info(void)
{
    FILE *file = tmpfile();
    CHECK(file && malloc_info(0, file) == 0);
    rewind(file);
    size_t length = fread(text, 1, sizeof text - 1, file);
    CHECK(length > 0 && length < sizeof text - 1);
    text[length] = 0;
    fclose(file);
}

static size_t figure(const char *element)
{
    const char *found = NULL, *size;
    for (const char *next = text; (next = strstr(next, element)); next++)
        found = next;
    CHECK(found && (size = strstr(found, "size=\"")) && size < strchr(found, '>'));
    return strtoull(size + 6, NULL, 10);
}

static void check_nesting(void)
{
    char open[16][32];
    int depth = 0;
    for (char *tag = strchr(text, '<'); tag; tag = strchr(tag + 1, '<')) {
        char name[32], *end = strchr(tag, '>');
        CHECK(end != NULL);
        if (tag[1] == '/') {
            CHECK(depth > 0 && sscanf(tag + 2, "%31[^ />]", name) == 1);
            CHECK(strcmp(open[--depth], name) == 0);
        } else if (end[-1] != '/' && tag[1] != '?') {
            CHECK(depth < 16 && sscanf(tag + 1, "%31[^ />]", open[depth++]) == 1);
        }
    }
    CHECK(depth == 0);
}

int main(void)
{
    read_info();
    CHECK(strncmp(text, "<malloc version=\"1\">", 20) == 0);
    check_nesting();
    size_t before = figure("<system type=\"current\"");
    size_t mapped = figure("<total type=\"mmap\"");
    for (int i = 0; i < 640; i++)
        CHECK(malloc(100 * KIB) != NULL);
    CHECK(malloc(64 * MIB) != NULL);
    read_info();
    check_nesting();
    CHECK(figure("<system type=\"current\"") >= before + 62 * MIB);
    CHECK(figure("<total type=\"mmap\"") >= mapped + 64 * MIB);
    CHECK(figure("<system type=\"max\"") >= figure("<system type=\"current\""));
    CHECK(malloc_info(1, stdout) == EINVAL);
    return 0;
}
