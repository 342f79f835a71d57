-- Whether a run exists, and its state.
-- EACH KEYS: record
-- EACH ARGV:
-- REPLIES: <data>
-- INCLUDE: record

local function item() return {redis.call('EXISTS', record), redis.call('HGET', record, STATE)} end

return each(item)
