# Builds a large dictionary, asks it, changes it, and sorts it; what it prints depends on every byte.
import hashlib
import pickle

COUNT = 120011  # a prime
table = {f"key {n * 7919 % COUNT:06}": [n, str(n) * (n % 9), (n, n + 1)] for n in range(COUNT)}
total = sum(table[f"key {n * 31 % COUNT:06}"][0] * n for n in range(0, COUNT, 3))
for key in list(table)[::3]:
    del table[key]
digest = hashlib.sha256()
for key, (number, text, pair) in sorted(table.items()):
    digest.update(f"{key}{number}{text}{pair}".encode())
copy = pickle.loads(pickle.dumps(table))
print(total, len(table), copy == table, digest.hexdigest())
