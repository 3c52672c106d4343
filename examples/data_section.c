#include <errno.h>
#include <glebe.h>
#include <stdio.h>
#include <stdlib.h>
#include "moment.h"

int main(void)
{
    char *start = glebe_sbrk(0);
    int *numbers = glebe_sbrk(1000 * sizeof *numbers);
    for (int i = 0; i < 1000; i++)
        numbers[i] = i;
    void *more = malloc(1 << 20), *end = glebe_sbrk(4 << 20);
    printf("in one piece, with a malloc between: %s\n", end == &numbers[1000] ? "yes" : "no");
    for (int i = 1000; i < 1 << 20; i++)
        numbers[i] = i;
    moment();

    glebe_sbrk(-(4 << 20));
    moment();
    printf("%zu numbers are left, the last is %d\n", ((char *)glebe_sbrk(0) - start) / sizeof(int),
           numbers[999]);
    glebe_sbrk(sizeof *numbers);
    printf("a byte that went and came back: %d\n", numbers[1000]);

    if (glebe_brk(start - 1) != 0 && errno == ENOMEM)
        printf("before the start: refused\n");
    if (glebe_sbrk((intptr_t)1 << 46) == (void *)-1 && errno == ENOMEM)
        printf("64 TiB: refused\n");
    printf("%zu bytes, as before\n", (char *)glebe_sbrk(0) - start);
    printf("brk to the start: %d\n", glebe_brk(start));
    free(more);
}
