#include <err.h>
#include <fcntl.h>
#include <glebe.h>
#include <stdio.h>
#include <unistd.h>
#include "moment.h"

static void check(const char *what, int error)
{
    printf("%-22s %s\n", what, glebe_region_error_text(error));
    if (error == GLEBE_REGION_NO_USERFAULT)
        errx(1, "no regions on this machine");
}

int main(void)
{
    static char read_back[5];
    glebe_region memory, section;
    glebe_region_options options = {.struct_size = sizeof options, .size = 8 << 20,
                                    .budget = 2 << 20};
    char *base, *text;
    check("create 8 MiB", glebe_region_create(&options, &memory, (void **)&base));
    for (int at = 0; at < 8 << 20; at += 4096)
        base[at] = 'x';
    moment();
    check("protect a page", glebe_region_protect(memory, base + 4096, 4096, GLEBE_PROTECT_READ));
    check("protect half a page", glebe_region_protect(memory, base, 2048, GLEBE_PROTECT_READ));
    check("release the middle", glebe_region_release(memory, base + (2 << 20), 4 << 20));
    moment();
    printf("%-22s %d\n", "a byte of the middle:", base[3 << 20]);
    printf("%-22s %c\n", "a byte before it:", base[4096]);

    int file = open("region.data", O_RDWR | O_CREAT | O_TRUNC, 0600);
    options = (glebe_region_options){.struct_size = sizeof options, .kind = GLEBE_REGION_FILE,
                                     .file = file, .size = 4096, .file_offset = 8192,
                                     .budget = 1 << 20, .flags = GLEBE_REGION_GROWS_FILE};
    check("a section of a file", glebe_region_create(&options, &section, (void **)&text));
    snprintf(text, 4096, "glebe");
    check("delete it", glebe_region_delete(section));
    pread(file, read_back, 5, 8192);
    printf("%-22s %.5s\n", "the file has:", read_back);
    unlink("region.data");
    check("delete the first", glebe_region_delete(memory));
    check("and again", glebe_region_delete(memory));
}
