# JSON, dictionaries and strings, for PYTHONMALLOC=malloc.
import json

orders = [{"id": n, "name": f"order {n}" * (n % 7), "tags": [str(t) for t in range(n % 11)], "total": n * 0.25} for n in range(40000)]
text = json.dumps(orders)
copy = json.loads(text)
assert copy == orders
by_name = {}
for order in copy:
    by_name.setdefault(order["name"], []).append(order)
words = {}
for n in range(300000):
    word = f"w{n * 7919 % 50021}"
    words[word] = words.get(word, 0) + n
del copy, orders
lines = ["-".join(str(i) for i in range(n % 30)) for n in range(20000)]
lines.sort(key=lambda line: line[::-1])
print(len(text), len(by_name), len(words), len(lines))
