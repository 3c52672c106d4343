/* expect: exit 0
   modes: preload
   under: SIZE=256
   under: SIZE=3000 LIVE=16
   under: SIZE=100000
   under: SIZE=500000 LIVE=16
   under: SIZE=4000000
   under: SIZE=4000000 LIVE=16
   under: SIZE=3000 LIVE=16 GLEBE_SOURCE=mmap
   Right after malloc_trim. */
#include "peak.h"

int main(void)
{
    raise_and_free_peak();
    CHECK(malloc_trim(0) == 1 || live_bytes == 0);
    check_resident(105, 2 * MIB);
    return 0;
}
