-- Up to 100 entries that are pending for a consumer, oldest first, from an id on: each its id and its fields.
-- EACH KEYS: stream
-- EACH ARGV: group owner first
-- REPLIES: <data>
-- INCLUDE: pending

local function item()
  local found = {}
  for n, row in ipairs(pending(stream, group, first, '+', '100', owner)) do
    local entries = redis.call('XRANGE', stream, row[1], row[1])
    found[n] = {row[1], entries[1] and entries[1][2] or {}}
  end
  return found
end

return each(item)
