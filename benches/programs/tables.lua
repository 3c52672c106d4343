-- Tables, strings and closures; the argument is percent of the work.
local rounds = math.max(1, 18 * tonumber(arg[1]) // 100)
local total = 0

local function node(depth, label)
    if depth == 0 then return { label = label .. "." } end
    return { label = label, node(depth - 1, label .. "l"), node(depth - 1, label .. "r") }
end

local function letters(tree)
    local count = #tree.label
    for _, child in ipairs(tree) do count = count + letters(child) end
    return count
end

for round = 1, rounds do
    total = total + letters(node(13, "n" .. round))
    local words = {}
    for i = 1, 60000 do
        local word = "w" .. i * 7919 % 10007
        words[word] = (words[word] or 0) + 1
    end
    local counters, names = {}, {}
    for word, count in pairs(words) do
        names[#names + 1] = word
        counters[word] = function(more) count = count + more return count end
    end
    table.sort(names)
    for i, name in ipairs(names) do total = total + counters[name](i % 5) end
    local lines = {}
    for i = 1, 4000 do
        local line = {}
        for j = 1, i % 20 do line[j] = names[(i * j) % #names + 1] end
        lines[i] = table.concat(line, "-"):gsub("w", "v")
    end
    total = total + #table.concat(lines)
end
print(total)
