-- Garbage: churn, weak tables, finalisers, both collectors, big structures, closures.
collectgarbage("collect")
local before = collectgarbage("count")
for round = 1, 20 do
  local t = {}
  for i = 1, 20000 do t[i] = {i, tostring(i), function() return i end} end
end
collectgarbage("collect")
collectgarbage("collect")
print("returned", collectgarbage("count") - before < 200)
local weak, strong = setmetatable({}, {__mode = "k"}), {}
for i = 1, 1000 do
  local key = {}
  weak[key] = i
  if i % 10 == 0 then strong[#strong + 1] = key end
end
collectgarbage()
local left = 0
for _ in pairs(weak) do left = left + 1 end
print("weak", left)
local order = {}
do
  for i = 1, 5 do setmetatable({}, {__gc = function() order[#order + 1] = i end}) end
end
collectgarbage()
print("finalised", table.concat(order, " "))
for _, mode in ipairs {"generational", "incremental"} do
  collectgarbage(mode)
  local live = {}
  for i = 1, 100000 do
    live[i % 1000] = {value = i, next = live[(i * 7) % 1000] and {} or nil}
  end
  local sum = 0
  for i = 0, 999 do sum = sum + live[i].value end
  print(mode, sum)
end
local function tree(n) if n == 0 then return {} end return {tree(n - 1), tree(n - 1)} end
local function size(t) if not t[1] then return 1 end return 1 + size(t[1]) + size(t[2]) end
print("tree", size(tree(15)))
local Account = {}
Account.__index = Account
Account.__add = function(a, b) return setmetatable({n = a.n + b.n}, Account) end
Account.__eq = function(a, b) return a.n == b.n end
Account.__lt = function(a, b) return a.n < b.n end
Account.__call = function(self, x) return self.n * x end
Account.__len = function(self) return self.n end
local a, b = setmetatable({n = 3}, Account), setmetatable({n = 4}, Account)
print((a + b).n, a == b, a < b, a(10), #b)
local counter = {}
for i = 1, 3 do local n = 0; counter[i] = function() n = n + i; return n end end
print(counter[1](), counter[3](), counter[3](), counter[2]())
