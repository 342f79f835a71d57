-- A sign of life. A name that was declared dead stays dead: its process has to take another.
-- KEYS: sweep
-- ARGV: lease_ms
-- EACH KEYS: beats
-- EACH ARGV: name
-- REPLIES: alive dead
-- INCLUDE: time sweep_time

local function item()
  if not redis.call('ZSCORE', beats, name) then return 'dead' end
  redis.call('ZADD', beats, now_text, name)
  return 'alive'
end

return each(item)
