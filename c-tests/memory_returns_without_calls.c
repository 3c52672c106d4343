/* expect: exit 0
   modes: preload
   library: shipped
   under: SIZE=256
   under: SIZE=3000 LIVE=16
   under: SIZE=100000
   under: SIZE=500000 LIVE=16
   under: SIZE=4000000
   under: SIZE=4000000 LIVE=16
   Two seconds after the peak, in a program that never calls us again. */
#include "peak.h"

int main(void)
{
    raise_and_free_peak();
    sleep_milliseconds(2000);
    check_resident(125, 32 * MIB);
    return 0;
}
