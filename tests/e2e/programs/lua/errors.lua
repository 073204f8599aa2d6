-- pcall, error, xpcall, assert: longjmp below; through metamethods, sort, gsub, load, deep stacks.
print(pcall(error, "plain"))
print(pcall(error, "with level", 2))
print(select(2, pcall(function() error({code = 7}) end)).code)
print(select(2, pcall(function() error(setmetatable({}, {__tostring = function() return "object" end})) end)))
print(pcall(function() return 1 + {} end))
print(pcall(function() return #5 end))
print(pcall(function() return nil .. "x" end))
print(pcall(function() undefined_function() end))
print(pcall(string.rep, "x", -1))
print(pcall(string.rep))
print(pcall(function() local a <const> = 1; return a // 0 end))
print(xpcall(function() error("handled", 0) end, function(m) return "handler: " .. m end))
print(xpcall(function(...) return select("#", ...) end, print, 1, 2, 3))
local depth = 0
local function nest(n) if n == 0 then error("deep", 0) end
  local ok, m = pcall(nest, n - 1); depth = depth + 1; error(m, 0) end
print(pcall(nest, 150), depth)
local function forever(n) return 1 + forever(n + 1) end
local ok, m = pcall(forever, 1)
print(ok, m:match("stack overflow"))
local ok, m = pcall(string.gsub, "abc", ".", function(c) if c == "b" then error("in gsub", 0) end end)
print(ok, m)
print(pcall(table.sort, {3, 1, 2}, function(a, b) error("in sort", 0) end))
local t = setmetatable({}, {__index = function(_, k) error("no field " .. k, 0) end})
print(pcall(function() return t.missing end))
print(load("x ="))
print(load("return ...", "chunk", "t", {})(5))
print(pcall(load, function() error("reader", 0) end))
for i = 1, 20000 do pcall(error) end
local caught = 0
for i = 1, 20000 do
  local ok, v = pcall(function(x) if x % 3 == 0 then error(x) end return x end, i)
  if not ok then caught = caught + v end
end
print(caught)
print(debug.traceback("trace", 1):match("^trace\nstack traceback:"))
goto done
print("skipped")
::done::
print(pcall(assert, false), pcall(assert, nil, "message"), (pcall(assert, 1)))
