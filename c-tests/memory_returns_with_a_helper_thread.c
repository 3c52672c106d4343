/* expect: exit 0
   modes: preload
   library: shipped
   under: SIZE=3000 LIVE=16 GLEBE_PURGE=thread
   The helper thread does without calls what callers do otherwise. */
#include "peak.h"

int main(void)
{
    raise_and_free_peak();
    sleep_milliseconds(2000);
    check_resident(110, 8 * MIB);
    return 0;
}
