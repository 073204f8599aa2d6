-- Coroutines: generators, a scheduler, errors inside, wrap, close, and many of them alive at once.
local function count(n)
  return coroutine.wrap(function() for i = 1, n do coroutine.yield(i) end end)
end
local sum = 0
for i in count(1000) do sum = sum + i end
print("sum", sum)

local function permute(a, n)
  n = n or #a
  if n <= 1 then coroutine.yield(table.concat(a)) else
    for i = 1, n do
      a[n], a[i] = a[i], a[n]
      permute(a, n - 1)
      a[n], a[i] = a[i], a[n]
    end
  end
end
local all = {}
for p in coroutine.wrap(function() permute({"a", "b", "c", "d"}) end) do all[#all + 1] = p end
table.sort(all)
print(#all, all[1], all[#all])

local ready, log = {}, {}
local function spawn(name, steps)
  ready[#ready + 1] = coroutine.create(function()
    for i = 1, steps do log[#log + 1] = name .. i; coroutine.yield() end
  end)
end
spawn("x", 3); spawn("y", 2); spawn("z", 4)
while #ready > 0 do
  local co = table.remove(ready, 1)
  assert(coroutine.resume(co))
  if coroutine.status(co) ~= "dead" then ready[#ready + 1] = co end
end
print(table.concat(log, " "))

local bad = coroutine.create(function() local t = nil; return t.field end)
local ok, message = coroutine.resume(bad)
print(ok, message, coroutine.status(bad))
local across = coroutine.wrap(function()
  local ok, v = pcall(function() local got = coroutine.yield("yielded in pcall"); error({got}) end)
  coroutine.yield(type(v) .. " " .. v[1])
  return "end"
end)
print(across(), across("sent"), across())
local many = {}
for i = 1, 5000 do many[i] = coroutine.create(function(a) local b = coroutine.yield(a + 1); return a + b end) end
local total = 0
for i = 1, 5000 do total = total + select(2, coroutine.resume(many[i], i)) end
for i = 1, 5000 do total = total + select(2, coroutine.resume(many[i], 2)) end
print(total)
local closed = {}
local co = coroutine.create(function()
  local r <close> = setmetatable({}, {__close = function() closed[1] = "closed" end})
  coroutine.yield()
end)
coroutine.resume(co)
print(coroutine.close(co), closed[1])
print(select("#", coroutine.resume(coroutine.create(function(...) return ... end), 1, nil, 3, nil)))
