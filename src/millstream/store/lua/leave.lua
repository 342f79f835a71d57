-- A process that stops in order takes its name away; whatever is still pending for it is taken over at once.
-- EACH KEYS: beats about
-- EACH ARGV: name
-- REPLIES: left

local function item()
  redis.call('ZREM', beats, name)
  redis.call('HDEL', about, name)
  return 'left'
end

return each(item)
