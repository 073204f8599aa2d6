-- Places N queens with coroutines, and checks that errors are caught.
local n = 8

local function place(rows, row)
  if row > n then
    coroutine.yield(table.concat(rows, " "))
    return
  end
  for column = 1, n do
    local free = true
    for r = 1, row - 1 do
      local c = rows[r]
      if c == column or math.abs(c - column) == row - r then
        free = false
        break
      end
    end
    if free then
      rows[row] = column
      place(rows, row + 1)
      rows[row] = nil
    end
  end
end

local count, first = 0, nil
for solution in coroutine.wrap(function() place({}, 1) end) do
  count = count + 1
  first = first or solution
end
print(("%d queens: %d solutions, the first is %s"):format(n, count, first))
print(select(2, pcall(function() error({ code = 7 }) end)).code)
print(pcall(string.rep))
print(("%.17g %s"):format(math.sqrt(2), ("cell"):rep(3, "-")))
