/* expect: exit 0
   modes: link preload static
   C++ thread_local objects that allocate in their destructors, also in threads whose first
   allocation is that one. */
#include "check.h"
#include <string>
#include <thread>
#include <vector>

struct Late {
    std::vector<std::string> lines;
    bool touched = false;
    ~Late()
    {
        for (int i = 0; i < 300; i++)
            lines.push_back(std::string(i * 10, 'x'));
        CHECK(lines.back().size() == 2990);
        lines.clear();
        lines.shrink_to_fit();
        free(realloc(malloc(2 * MIB), 100));
    }
};

static thread_local Late late;

int main()
{
    size_t settled = 0;
    for (int round = 0; round < 300; round++) {
        if (round == 100)
            settled = resident_after_trim();
        std::thread thread([] { late.touched = true; });
        thread.join();
    }
    CHECK(resident_after_trim() <= settled + 2 * MIB);
    return 0;
}
