-- A run's status map, flat.
-- EACH KEYS: status
-- EACH ARGV:
-- REPLIES: <data>

local function item() return redis.call('HGETALL', status) end

return each(item)
