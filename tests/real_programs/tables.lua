-- Tables, strings, closures and coroutines under a collector that is driven by hand.
local state = 7
local function draw(n)
  state = (state * 1103515245 + 12345) % 2147483648
  return (state >> 8) % n
end

local index, text = {}, {}
for line = 1, 20000 do
  local words = {}
  for i = 1, 8 do
    local word = "w" .. draw(2500) .. string.rep("z", draw(24))
    words[i] = word
    index[word] = index[word] or {}
    table.insert(index[word], line)
  end
  text[line] = table.concat(words, " ")
end
local names = {}
for name in pairs(index) do names[#names + 1] = name end
table.sort(names, function(a, b)
  if #index[a] ~= #index[b] then return #index[a] > #index[b] end
  return a < b
end)
print(#names, names[1], #index[names[1]], names[#names])

local all = table.concat(text, "\n")
print(#all, select(2, all:gsub("w(%d+)z*", "%1")), #all:gsub("z+", ""))

for name in pairs(index) do if draw(3) > 0 then index[name] = nil end end
collectgarbage()
print(collectgarbage("count") > 1000)

local function walk(depth)
  return coroutine.wrap(function()
    for i = 1, depth do coroutine.yield(string.rep("c", i)) end
  end)
end
local letters = 0
for i = 1, 500 do for word in walk(60) do letters = letters + #word end end
print(letters)

collectgarbage("generational")
local list = nil
for i = 1, 300000 do list = i % 1000 == 0 and nil or { i, list } end
local length = 0
while list do length, list = length + 1, list[2] end
print(length)
