-- A key's time to live in milliseconds: -1 when it does not expire, -2 when it does not exist.
-- EACH KEYS: key
-- EACH ARGV:
-- REPLIES: <data>

local function item() return redis.call('PTTL', key) end

return each(item)
