// Standard containers of C++ built, searched and torn down: a map, a hash table and a list, whose
// nodes are of three sizes, with strings of which half are too long to lie in the node.
#include "workload.h"
#include <list>
#include <map>
#include <string>
#include <unordered_map>

static std::string name(uint64_t key)
{
    std::string text = std::to_string(key);
    if (key % 2 != 0)
        text.append(text).append(key % 64, '.');
    return text;
}

// Sums of lengths and keys: no order of iteration, which a library may choose, goes into them.
static uint64_t build_and_search(uint64_t seed, size_t nodes)
{
    std::map<uint64_t, std::string> tree;
    std::unordered_map<std::string, uint64_t> table;
    std::list<std::string> recent;
    uint64_t state = seed, check = 0;
    for (size_t i = 0; i < nodes; i++) {
        uint64_t key = draw(&state) >> 24;
        tree.emplace(key, name(key));
        table.emplace(name(key), key);
        recent.push_back(tree.at(key));
        if (recent.size() > nodes / 8) {
            check += recent.front().size();
            recent.pop_front();
        }
    }
    state = seed;
    for (size_t i = 0; i < nodes; i++) {
        uint64_t key = draw(&state) >> 24;
        auto found = table.find(name(key));
        if (found == table.end() || found->second != key || tree.at(key) != found->first)
            fail("a container lost a node");
        check += found->first.size() + key;
        if (i % 2 == 0) {
            table.erase(found);
            tree.erase(key);
        }
    }
    for (const auto &[key, text] : tree)
        check += key ^ text.size();
    return check;
}

int main(int argc, char **argv)
{
    workload_begin(argc, argv);
    size_t nodes = argument("nodes", 50000), rounds = scaled(argument("rounds", 9));
    uint64_t check = 0;
    for (size_t round = 0; round < rounds; round++)
        check += build_and_search(draw_seed(round), nodes);
    return finish(check);
}
