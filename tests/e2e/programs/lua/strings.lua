-- Strings, patterns, numbers, tables, utf8, files.
print(("%5.2f|%-8s|%08d|%x|%q|%g"):format(3.14159, "left", 42, 255, "a\nb\0c", 1e100))
print(("hello world"):gsub("o", "0"), ("abc"):rep(3, "-"), ("x"):byte(), string.char(72, 105))
for k, v in ("a=1, b=22, c=333"):gmatch("(%w+)=(%w+)") do io.write(k, ":", v, " ") end
print()
print(("  trim me "):match("^%s*(.-)%s*$") .. "|", ("key = value"):find("(%w+)%s*=%s*(%w+)"))
print(("f(a(b)c)d"):match("%b()"), ("THE (quick) fox"):find("%((%a+)%)"), ("hello"):sub(-3))
print(10 // 3, -10 // 3, 10 % -3, 7 / 2, 2 ^ 0.5, 1 << 40, ~0, 3 | 4, "10" + 5, 1e15, 2 ^ 53 | 0)
print(math.maxinteger + 1 == math.mininteger, math.tointeger(3.0), math.type(1), math.type(1.0), 0x10p2)
print(string.format("%.14g %.3f %d", math.pi, math.exp(1), math.floor(-3.5)), tostring(1e300 * 1e10), -0.0)
print(utf8.char(228, 8364, 128512), utf8.len("äö€"), #"äö€")
for p, c in utf8.codes("aé€") do io.write(p, "=", c, " ") end
print()
local parts = {}
for i = 1, 30000 do parts[i] = ("%d:%s"):format(i, ("x"):rep(i % 10)) end
local long = table.concat(parts, ",")
print(#long, select(2, long:gsub("x", "")), long:sub(1, 30))
local words, n = {}, 0
for w in ("the quick brown fox jumps over the lazy dog the end"):gmatch("%a+") do words[w] = (words[w] or 0) + 1 end
local keys = {}
for k in pairs(words) do keys[#keys + 1] = k end
table.sort(keys, function(a, b) return words[a] > words[b] or (words[a] == words[b] and a < b) end)
print(table.concat(keys, " "), words.the)
print(table.unpack({1, 2, 3}, 2), select(-1, "a", "b"), #table.pack(nil, nil), next({}))
local f = assert(io.open("lua.tmp", "w"))
f:write("line one\n", 2, " ", 3.5, "\nlast"):close()
for l in io.lines("lua.tmp") do io.write("[", l, "]") end
print()
f = io.open("lua.tmp")
print(f:read("l", "n", "n", "a"))
print(f:seek("set", 5), f:read(3), f:seek("cur"), f:seek("end"))
f:close()
print(os.remove("lua.tmp"), (select(1, io.open("lua.tmp"))), os.rename == nil, type(os.time()), os.getenv("NOTHING"))
print(os.date("!%Y-%m-%d %H:%M:%S", 86400 * 365), string.pack("<i4", 258):byte(1, -1))
print(string.unpack("<d", string.pack("<d", 1.5)), ("%s"):rep(2, "|"):format(nil, true))
