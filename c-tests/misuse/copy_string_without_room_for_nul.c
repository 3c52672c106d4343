/* A string is copied to as many bytes as strlen counts. On several blocks in turn. */
#include "misuse.h"

static const char text[] = "a text of 32 bytes without nul..";

int main(void)
{
    for (int turn = 0; turn < TURNS; turn++) {
        block = allocate(strlen(text));
        strcpy(block, text);
        free(block);
    }
    return go_on(strlen(text));
}
