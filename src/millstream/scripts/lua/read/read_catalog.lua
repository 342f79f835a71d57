-- What the catalog says of some tasks, in order; of all of them, flat, when none is named.
-- EACH KEYS: catalog
-- EACH ARGV: names*
-- REPLIES: <data>

local function item()
  if #names == 0 then return redis.call('HGETALL', catalog) end
  return redis.call('HMGET', catalog, unpack(names))
end

return each(item)
