#include <glebe.h>
#include <stdio.h>
#include <stdlib.h>
#include "moment.h"

static void try(const char *what, void *address)
{
    static const char *const answer[] = {"success", "not ours", "inside a block", "already free"};
    printf("free of %-16s %s\n", what, answer[glebe_free_checked(address)]);
}

int main(void)
{
    char on_stack[16];
    char *small = malloc(100), *large = calloc(8, 1 << 20);
    for (int at = 0; at < 4 << 20; at++)
        large[at] = 1;
    moment();
    printf("block of %zu bytes for 100\n", glebe_block_size(small));
    try("an inner byte:", small + 50);
    try("the block:", small);
    try("it again:", small);
    try("the stack:", on_stack);
    try("8 MiB:", large);
    try("NULL:", NULL);
    moment();
}
