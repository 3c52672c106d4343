/* A struct is allocated with the size of a pointer to it. On several blocks in turn. */
#include "misuse.h"

struct entry {
    char name[32];
    long key, value;
};

int main(void)
{
    for (int turn = 0; turn < TURNS; turn++) {
        block = allocate(sizeof(struct entry *));
        *(struct entry *)block = (struct entry){"a name", 1, 2};
        free(block);
    }
    return go_on(sizeof(struct entry));
}
