-- Forget dead letters older than the retention, 100 a call.
-- ARGV: retention_ms
-- EACH KEYS: dead_letters
-- EACH ARGV:
-- REPLIES: trimmed more
-- INCLUDE: time

local function item()
  local old = redis.call('XRANGE', dead_letters, '-', string.format('%.0f', math.max(0, now - retention_ms)), 'COUNT', '100')
  local entries = {}
  for n, row in ipairs(old) do entries[n] = row[1] end
  if #entries > 0 then redis.call('XDEL', dead_letters, unpack(entries)) end
  return #entries == 100 and 'more' or 'trimmed'
end

return each(item)
