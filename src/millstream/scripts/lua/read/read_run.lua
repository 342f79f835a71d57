-- All that is kept of a run: its record, status map and outcomes, each flat, and its definition.
-- EACH KEYS: record status outcomes definition
-- EACH ARGV:
-- REPLIES: <data>

local function item()
  return {
    redis.call('HGETALL', record), redis.call('HGETALL', status), redis.call('HGETALL', outcomes),
    redis.call('GET', definition),
  }
end

return each(item)
