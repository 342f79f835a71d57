-- Enter a process under a name that is new: its first beat, and what it is. Comes before its first read.
-- EACH KEYS: beats about
-- EACH ARGV: name text
-- REPLIES: joined
-- INCLUDE: time

local function item()
  redis.call('ZADD', beats, now_text, name)
  redis.call('HSET', about, name, text)
  return 'joined'
end

return each(item)
