/* Memory of mmap is freed. */
#include "misuse.h"
#include <sys/mman.h>

int main(void)
{
    block = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(block != MAP_FAILED);
    block += 64;
    free(block);
    return go_on(64);
}
