-- The life that a run is in (nothing: the first), and its definition.
-- EACH KEYS: record definition
-- EACH ARGV:
-- REPLIES: <data>
-- INCLUDE: record

local function item() return {redis.call('HGET', record, LIFE), redis.call('GET', definition)} end

return each(item)
