// Templates, the standard containers and threads: an index of generated text built by several
// threads through futures, merged, and asked by regular expressions.
#include <algorithm>
#include <cstdint>
#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <queue>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

using Number = std::uint64_t;

template <Number N> struct Fibonacci {
    static constexpr Number value = Fibonacci<N - 1>::value + Fibonacci<N - 2>::value;
};
template <> struct Fibonacci<0> { static constexpr Number value = 0; };
template <> struct Fibonacci<1> { static constexpr Number value = 1; };

template <std::size_t... I> auto fibonacci(std::index_sequence<I...>) {
    return std::vector<Number>{Fibonacci<I>::value...};
}

using Index = std::unordered_map<std::string, std::set<int>>;

Index index_lines(int from, int to) {
    Index index;
    for (int line = from; line < to; line++) {
        std::ostringstream text;
        Number state = Number(line) * 6364136223846793005u + 1442695040888963407u;
        for (int word = 0; word < 12; word++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            text << "w" << (state >> 40) % 997 << (word % 3 ? " " : "_") << "x ";
        }
        std::istringstream words(text.str());
        for (std::string word; words >> word;) index[word].insert(line);
    }
    return index;
}

struct Shape { virtual ~Shape() = default; virtual Number area() const = 0; };
template <Number Width> struct Rectangle : Shape {
    explicit Rectangle(Number height) : rows(height, std::vector<char>(Width, 'r')) {}
    Number area() const override {
        return std::accumulate(rows.begin(), rows.end(), Number{},
                               [](Number sum, auto &row) { return sum + row.size(); });
    }
    std::vector<std::vector<char>> rows;
};

using Json = std::variant<std::monostate, double, std::string,
                          std::vector<std::shared_ptr<struct Node>>>;
struct Node { Json json; };
Number depth(const Node &node) {
    if (auto list = std::get_if<3>(&node.json)) {
        Number deepest = 0;
        for (auto &child : *list) deepest = std::max(deepest, depth(*child));
        return deepest + 1;
    }
    return 1;
}

int main() {
    for (Number n : fibonacci(std::make_index_sequence<40>{})) std::cout << n << ' ';
    std::cout << '\n';

    std::vector<std::future<Index>> parts;
    for (int part = 0; part < 8; part++)
        parts.push_back(std::async(std::launch::async, index_lines, part * 500, part * 500 + 500));
    std::map<std::string, std::set<int>> whole;
    for (auto &part : parts)
        for (auto &[word, lines] : part.get()) whole[word].insert(lines.begin(), lines.end());
    Number hash = 14695981039346656037u;
    for (auto &[word, lines] : whole) {
        for (char letter : word) hash = (hash ^ Number(letter)) * 1099511628211u;
        for (int line : lines) hash = (hash ^ Number(line)) * 1099511628211u;
    }
    std::regex wanted("w([0-9])\\1[0-9]?(_x)?");
    auto matches = std::count_if(whole.begin(), whole.end(), [&](auto &entry) {
        return std::regex_match(entry.first, wanted);
    });
    std::cout << whole.size() << ' ' << matches << ' ' << hash << '\n';

    // Blocks made by one thread die in another.
    std::mutex lock;
    std::queue<std::unique_ptr<Shape>> shapes;
    std::vector<std::thread> threads;
    for (int maker = 0; maker < 4; maker++)
        threads.emplace_back([&, maker] {
            for (int i = 0; i < 2000; i++) {
                std::unique_ptr<Shape> shape;
                if (i % 2) shape = std::make_unique<Rectangle<7>>(i % 50 + maker);
                else shape = std::make_unique<Rectangle<300>>(i % 5 + 1);
                std::lock_guard hold(lock);
                shapes.push(std::move(shape));
            }
        });
    Number area = 0, seen = 0;
    while (seen < 8000) {
        std::unique_ptr<Shape> shape;
        {
            std::lock_guard hold(lock);
            if (shapes.empty()) { std::this_thread::yield(); continue; }
            shape = std::move(shapes.front());
            shapes.pop();
        }
        area += shape->area();
        seen++;
    }
    for (auto &thread : threads) thread.join();
    std::cout << area << '\n';

    auto tree = std::make_shared<Node>();
    for (int i = 0; i < 1000; i++) {
        auto parent = std::make_shared<Node>();
        parent->json = std::vector{tree, std::make_shared<Node>(Node{std::string(40, 'j')})};
        tree = parent;
    }
    std::cout << depth(*tree) << '\n';
    try {
        std::vector<char> absurd(std::size_t(1) << 60);
    } catch (const std::bad_alloc &) {
        std::cout << "bad_alloc caught\n";
    }
}
