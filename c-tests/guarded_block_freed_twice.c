/* expect: abort "fatal: double free: ptr=0x"
   modes: link static
   under: GLEBE_HARDENED=1 */
#include "check.h"
#include "glebe.h"

int main(void)
{
    void *volatile block = glebe_guarded_alloc(16, 70000);
    CHECK(block);
    free(block);
    free(block);
    return 0;
}
