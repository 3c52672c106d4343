/* 4096 bytes before a block are overwritten, the nearest first. On several blocks in turn. */
#include "misuse.h"

int main(void)
{
    allocate_neighbours(64);
    for (int turn = 0; turn < TURNS; turn++)
        for (int i = 1; i <= 4096; i++)
            neighbours[turn][-i] = 1;
    free_neighbours();
    return go_on(64);
}
