/* expect: exit 0
   modes: link preload static
   under: nothing
   under: GLEBE_HARDENED=1
   Ordinary C++: containers that grow, exceptions that allocate, thread_local objects. */
#include "check.h"
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

static thread_local std::vector<std::string> kept_by_thread;

static void work(int seed)
{
    std::map<int, std::string> words;
    for (int i = 0; i < 20000; i++) {
        words[(i * 7919 + seed) % 5000] += std::to_string(i);
        if (i % 100 == 0)
            kept_by_thread.push_back(words.begin()->second);
    }
    try {
        throw std::runtime_error(std::string(1000, 'x'));
    } catch (const std::exception &error) {
        CHECK(std::string(error.what()).size() == 1000);
    }
    size_t digits = 0;
    for (auto &word : words)
        digits += word.second.size();
    CHECK(digits == 10 + 90 * 2 + 900 * 3 + 9000 * 4 + 10000 * 5);
}

int main()
{
    std::vector<std::unique_ptr<std::thread>> threads;
    for (int i = 0; i < 8; i++)
        threads.push_back(std::make_unique<std::thread>(work, i));
    for (auto &thread : threads)
        thread->join();
    return 0;
}
