/* expect: exit 0
   modes: preload
   library: shipped
   under: SIZE=256
   under: SIZE=3000 LIVE=16
   under: SIZE=100000
   under: SIZE=500000 LIVE=16
   under: SIZE=4000000
   under: SIZE=4000000 LIVE=16
   Two seconds after the peak, in a program that calls us now and then. */
#include "peak.h"

int main(void)
{
    raise_and_free_peak();
    for (int i = 0; i < 40; i++) {
        sleep_milliseconds(50);
        free(malloc(100));
    }
    check_resident(110, 8 * MIB);
    return 0;
}
