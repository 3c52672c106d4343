#include <err.h>
#include <glebe.h>
#include <stdio.h>
#include "moment.h"

struct node {
    glebe_offset_pointer next;
    int number;
};

static void check(int error)
{
    if (error)
        errx(1, "%s", glebe_segment_error_text(error));
}

int main(int count, char **arguments)
{
    glebe_segment_options options = {.struct_size = sizeof options, .size = 1 << 20,
                                     .protection = GLEBE_PROTECT_READ_WRITE};
    glebe_segment segment;
    void *base;
    if (count == 2) { /* an image to load, far from where it was */
        options.base = (void *)(1ul << 44);
        check(glebe_segment_load(arguments[1], &options, &segment));
        check(glebe_segment_translate(segment, 0, 0, &base));
        printf("loaded at %p:", base);
    } else {
        check(glebe_segment_create(&options, &segment));
        check(glebe_segment_translate(segment, 0, 0, &base));
        struct node *node = base;
        for (int i = 0; i < 8; i++) { /* 0, 3, 6, 1, 4, 7, 2, 5 */
            node[i * 3 % 8].number = i;
            glebe_offset_set(&node[i * 3 % 8].next, i < 7 ? &node[(i + 1) * 3 % 8] : NULL);
        }
        check(glebe_segment_save(segment, "list.image"));
        printf("saved:");
    }
    for (struct node *node = base; node; node = glebe_offset_get(&node->next))
        printf(" %d", node->number);
    printf("\n");
    moment();
}
