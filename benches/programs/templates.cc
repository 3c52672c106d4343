// Containers, functions and variants of SCALE / 20 different types each: work for a compiler.
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

template <int N>
struct Item {
    int number = N;
    std::string name = std::to_string(N);
    bool operator<(const Item &other) const { return std::tie(number, name) < std::tie(other.number, other.name); }
};

template <int N>
int sum_of(const std::vector<int> &numbers)
{
    std::map<Item<N>, std::shared_ptr<std::vector<Item<N + 1>>>> by_item;
    std::unordered_map<std::string, std::function<int(Item<N>)>> by_name;
    using Either = std::variant<int, Item<N>, std::tuple<Item<N>, Item<N + 1>>>;
    std::vector<Either> all;
    for (int number : numbers) {
        Item<N> item{number, std::to_string(number)};
        by_item[item] = std::make_shared<std::vector<Item<N + 1>>>(number % 7 + 1);
        by_name[item.name] = [number](Item<N> one) { return one.number * number; };
        all.emplace_back(item);
        all.emplace_back(std::make_tuple(item, Item<N + 1>{}));
    }
    int sum = 0;
    for (auto &[item, list] : by_item) {
        std::sort(list->begin(), list->end());
        sum += by_name.at(item.name)(item) + static_cast<int>(list->size());
    }
    for (auto &either : all)
        sum += std::visit([](auto &one) { return static_cast<int>(sizeof one); }, either);
    return sum;
}

template <int... N>
int sum_of_all(std::integer_sequence<int, N...>, const std::vector<int> &numbers)
{
    return (sum_of<N * 2>(numbers) + ...);
}

int main()
{
    return sum_of_all(std::make_integer_sequence<int, SCALE / 20 + 1>(), {3, 1, 4, 1, 5, 9, 2, 6}) & 127;
}
