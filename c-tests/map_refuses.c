/* expect: exit 0
   modes: link static
   Bad arguments, handles that are none or no more, processes that are none: an error each, and
   nothing is written; errno is kept. */
#include "check.h"
#include "glebe.h"
#include <signal.h>
#include <sys/wait.h>

int main(void)
{
    errno = 77;
    glebe_map map = {12345}, none = {0};
    size_t count = 5, written = 5;
    glebe_map_region region = {.struct_size = sizeof region, .start = 5};
    glebe_map_run run = {.start = 5};
    char name[8] = "12";

    CHECK(glebe_map_take(0, NULL) == GLEBE_MAP_BAD_ARGUMENT);
    CHECK(glebe_map_take(-1, &map) == GLEBE_MAP_NO_PROCESS && map.id == 12345);
    CHECK(glebe_map_take(INT32_MAX, &map) == GLEBE_MAP_NO_PROCESS && map.id == 12345);

    const glebe_map bad[] = {none, map, {UINT64_MAX}};
    for (int i = 0; i < 3; i++) {
        CHECK(glebe_map_refresh(bad[i]) == GLEBE_MAP_BAD_HANDLE);
        CHECK(glebe_map_delete(bad[i]) == GLEBE_MAP_BAD_HANDLE);
        CHECK(glebe_map_count(bad[i], &count, NULL) == GLEBE_MAP_BAD_HANDLE);
        CHECK(glebe_map_get_region(bad[i], 0, &region) == GLEBE_MAP_BAD_HANDLE);
        CHECK(glebe_map_get_name(bad[i], 0, name, sizeof name) == GLEBE_MAP_BAD_HANDLE);
        CHECK(glebe_map_get_runs(bad[i], 0, 0, 1, &run, &written) == GLEBE_MAP_BAD_HANDLE);
    }

    CHECK(glebe_map_take(getpid(), &map) == GLEBE_MAP_OK && map.id != 0);
    size_t regions;
    CHECK(glebe_map_count(map, NULL, NULL) == GLEBE_MAP_BAD_ARGUMENT);
    CHECK(glebe_map_count(map, &regions, NULL) == GLEBE_MAP_OK && regions > 0);
    CHECK(glebe_map_get_region(map, regions, &region) == GLEBE_MAP_BAD_ARGUMENT);
    CHECK(glebe_map_get_region(map, 0, NULL) == GLEBE_MAP_BAD_ARGUMENT);
    region.struct_size = 2 * sizeof(size_t);
    CHECK(glebe_map_get_region(map, 0, &region) == GLEBE_MAP_BAD_ARGUMENT);
    CHECK(glebe_map_get_name(map, regions, name, sizeof name) == GLEBE_MAP_BAD_ARGUMENT);
    CHECK(glebe_map_get_name(map, 0, NULL, 5) == GLEBE_MAP_BAD_ARGUMENT);
    CHECK(glebe_map_get_name(map, 0, name, 0) == GLEBE_MAP_BAD_ARGUMENT);
    CHECK(glebe_map_get_runs(map, regions, 0, 1, &run, &written) == GLEBE_MAP_BAD_ARGUMENT);
    CHECK(glebe_map_get_runs(map, 0, 0, 1, NULL, &written) == GLEBE_MAP_BAD_ARGUMENT);
    CHECK(glebe_map_get_runs(map, 0, 0, 1, &run, NULL) == GLEBE_MAP_BAD_ARGUMENT);
    CHECK(count == 5 && written == 5 && region.start == 5 && run.start == 5 && name[0] == '1');
    CHECK(glebe_map_get_runs(map, 0, SIZE_MAX, 1, &run, &written) == GLEBE_MAP_OK && written == 0);

    glebe_map more[63], last;
    for (int i = 0; i < 63; i++)
        CHECK(glebe_map_take(0, &more[i]) == GLEBE_MAP_OK && more[i].id != map.id);
    CHECK(glebe_map_take(0, &last) == GLEBE_MAP_TOO_MANY);
    for (int i = 0; i < 63; i++)
        CHECK(glebe_map_delete(more[i]) == GLEBE_MAP_OK);
    CHECK(glebe_map_delete(map) == GLEBE_MAP_OK);
    CHECK(glebe_map_delete(map) == GLEBE_MAP_BAD_HANDLE);
    CHECK(glebe_map_count(map, &count, NULL) == GLEBE_MAP_BAD_HANDLE);

    /* One that ends: before it is waited for, and after. */
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    CHECK(glebe_map_take(child, &map) == GLEBE_MAP_OK);
    CHECK(glebe_map_count(map, &count, NULL) == GLEBE_MAP_OK && count > 0);
    CHECK(kill(child, SIGKILL) == 0);
    siginfo_t end;
    CHECK(waitid(P_PID, child, &end, WEXITED | WNOWAIT) == 0);
    CHECK(glebe_map_refresh(map) == GLEBE_MAP_NO_PROCESS);
    CHECK(glebe_map_count(map, &count, NULL) == GLEBE_MAP_OK && count == 0);
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK(glebe_map_refresh(map) == GLEBE_MAP_NO_PROCESS);
    CHECK(glebe_map_delete(map) == GLEBE_MAP_OK);

    for (int error = -1; error < 20; error++)
        CHECK(strlen(glebe_map_error_text(error)) > 3);
    CHECK(errno == 77);
    return 0;
}
