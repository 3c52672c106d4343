#include <err.h>
#include <glebe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "moment.h"

static char *attach(int memory)
{
    glebe_region_options options = {.struct_size = sizeof options, .kind = GLEBE_REGION_SHARED,
                                    .file = memory, .size = 1 << 20, .budget = 1 << 20};
    glebe_region region;
    void *base;
    int error = glebe_region_create(&options, &region, &base);
    if (error)
        errx(1, "%s", glebe_region_error_text(error));
    return base;
}

int main(void)
{
    int memory;
    glebe_region_shared_memory(1 << 20, &memory);
    char *private = strdup("parent"), *shared = attach(memory);
    strcpy(shared, "parent");
    moment();

    if (fork() == 0) {
        char *mine = attach(memory); /* at an address of its own */
        strcpy(private, "child");
        for (int page = 0; page < 64; page++)
            strcpy(mine + page * 4096, "child");
        _exit(0);
    }
    wait(NULL);
    int pages = 0;
    while (strcmp(shared + pages * 4096, "child") == 0)
        pages++;
    printf("private: %s\nshared:  %s, on %d pages\n", private, shared, pages);
    moment();
}
