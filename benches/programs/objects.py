# JSON, dictionaries, objects and strings; the argument is percent of the work.
import json
import sys


class Order:
    def __init__(self, number, lines):
        self.number = number
        self.lines = lines
        self.note = "n" * (number % 50)


share = int(sys.argv[1])
orders = [
    {"id": n, "name": f"order {n}" * (n % 7), "tags": [str(t) for t in range(n % 11)], "total": n * 0.25}
    for n in range(300 * share)
]
text = json.dumps(orders)
copy = json.loads(text)
assert copy == orders
by_name = {}
for order in copy:
    by_name.setdefault(order["name"], []).append(order)
words = {}
for n in range(2500 * share):
    word = f"w{n * 7919 % 50021}"
    words[word] = words.get(word, 0) + n
del copy, orders
objects = [Order(n, ["-".join(str(i) for i in range(n % 9))] * (n % 3)) for n in range(400 * share)]
objects.sort(key=lambda order: (order.note, -order.number))
kept = [order for order in objects if order.number % 3]
del objects
lines = ["-".join(str(i) for i in range(n % 30)) for n in range(200 * share)]
lines.sort(key=lambda line: line[::-1])
print(len(text), len(by_name), len(words), kept[len(kept) // 2].number, len(lines), sum(map(len, lines)))
