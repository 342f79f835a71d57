-- A process that stops in order takes its name away; whatever is still pending for it is taken over at once.
-- KEYS: formats
-- EACH KEYS: beats about
-- EACH ARGV: name
-- REPLIES: left

local function item()
  redis.call('ZREM', beats, name)
  redis.call('HDEL', about, name)
  redis.call('ZREM', formats, name)
  return 'left'
end

return each(item)
