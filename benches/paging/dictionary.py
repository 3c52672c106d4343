# A dictionary of so many thousand entries, built and then queried: half of the queries go to a
# tenth of it.
import sys

count = 1000 * int(sys.argv[1])
entries = {f"key {i * 7919 % 1000003}-{i}": [i, f"value {i * 31 % 9973} of {i}", i * 0.25] for i in range(count)}
keys = list(entries)
state, total = 1, 0
for query in range(2 * count):
    state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
    drawn = state >> 33
    key = keys[drawn % (count // 10) if query % 2 else drawn % count]
    entry = entries[key]
    total += entry[0] + len(entry[1])
    if query % 8 == 0:
        entries[key] = [entry[0], entry[1] + "!", total % 1000]
print(len(entries), total, sum(len(entry[1]) for entry in entries.values()))
