/* expect: exit 0
   modes: preload
   under: GLEBE_BUDGET=32M
   under: GLEBE_BUDGET=32M GLEBE_SOURCE=mmap
   Maps, lists, vectors and strings beyond the budget: filled, looked up at random, half erased, sorted
   and copied, with exceptions thrown and caught among them. */
#include "paged.h"
#include <algorithm>
#include <list>
#include <map>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

static std::string text_of(uint64_t key)
{
    return std::string(key % 200 + 20, char('a' + key % 26)) + std::to_string(key);
}

int main()
{
    start_paged();
    uint64_t random = 37, most = budgets(1) / 400;
    std::map<uint64_t, std::string> tree;
    std::unordered_map<std::string, uint64_t> table;
    std::list<std::vector<uint64_t>> rows;
    for (uint64_t key = 0; key < most; key++) {
        tree[mixed(key)] = text_of(key);
        table[text_of(key)] = key;
        if (key % 100 == 0)
            rows.emplace_back(1000, key);
    }
    check_budget_is_kept();
    for (int i = 0; i < 10000; i++) {
        uint64_t key = next_random(&random) % most;
        CHECK(tree.at(mixed(key)) == text_of(key) && table.at(text_of(key)) == key);
    }
    size_t caught = 0;
    for (uint64_t key = most; key < most + 1000; key++)
        try {
            CHECK(table.at(text_of(key)) == key);
        } catch (const std::out_of_range &) {
            caught++;
        }
    CHECK(caught == 1000);
    for (uint64_t key = 0; key < most; key += 2)
        CHECK(tree.erase(mixed(key)) == 1 && table.erase(text_of(key)) == 1);
    uint64_t key = 0;
    for (const auto &row : rows) {
        CHECK(row.size() == 1000 && std::count(row.begin(), row.end(), key) == 1000);
        key += 100;
    }
    std::vector<std::string> sorted;
    for (const auto &entry : tree)
        sorted.push_back(entry.second);
    std::sort(sorted.begin(), sorted.end());
    CHECK(std::is_sorted(sorted.begin(), sorted.end()) && sorted.size() == most / 2);
    auto copy = sorted;
    rows.clear();
    for (const auto &text : copy)
        CHECK(table.erase(text) == 1);
    CHECK(table.empty() && copy == sorted);
    check_budget_is_kept();
    return 0;
}
