/* expect: exit 0
   modes: static
   A setuid copy of this very program must not warn of, nor follow, a GLEBE_ variable. */
#include "check.h"
#include <sys/auxv.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>

int main(void)
{
    char name[] = "/tmp/glebe-setuid-XXXXXX", text[256];
    free(malloc(1));
    if (getenv("COPIED"))
        return getauxval(AT_SECURE) ? 0 : 77;
    if (geteuid() != 0)
        skip("only root can make a setuid file of another user");
    int from = open("/proc/self/exe", O_RDONLY), to = mkstemp(name), channel[2], status;
    CHECK(from >= 0 && to >= 0 && pipe(channel) == 0);
    while (sendfile(to, from, NULL, MIB) > 0)
        ;
    CHECK(fchown(to, 65534, 65534) == 0 && fchmod(to, 04755) == 0 && close(to) == 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(channel[1], 2);
        setenv("COPIED", "1", 1);
        setenv("GLEBE_NONSENSE", "1", 1);
        execl(name, name, NULL);
    }
    close(channel[1]);
    CHECK(waitpid(child, &status, 0) == child && unlink(name) == 0);
    if (WEXITSTATUS(status) == 77)
        skip("no setuid programs in /tmp");
    CHECK(status == 0 && read(channel[0], text, sizeof text) == 0);
    return 0;
}
