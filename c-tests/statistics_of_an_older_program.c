/* expect: exit 0
   modes: link static
   A struct_size from an older header is filled that far and no further. */
#include "check.h"
#include "glebe.h"

int main(void)
{
    glebe_statistics old;
    memset(&old, 0xaa, sizeof old);
    old.struct_size = offsetof(glebe_statistics, medium_live_bytes);
    errno = 7;
    CHECK(glebe_get_statistics(&old) == 0);
    CHECK(holds(&old.medium_live_bytes, sizeof old - old.struct_size, 0xaa));
    old.struct_size = sizeof(size_t);
    CHECK(glebe_get_statistics(&old) == EINVAL);
    CHECK(glebe_get_statistics(NULL) == EINVAL && errno == 7);
    struct { glebe_statistics now; size_t later[4]; } newer;
    memset(&newer, 0xaa, sizeof newer);
    newer.now.struct_size = sizeof newer;
    CHECK(glebe_get_statistics(&newer.now) == 0);
    CHECK(strcmp(glebe_version(), GLEBE_VERSION_STRING) == 0);
    return 0;
}
