-- Enter a process under a name that is new: its first beat, what it is, and the newest format that it
-- reads. Comes before its first read.
-- KEYS: formats
-- ARGV: newest
-- EACH KEYS: beats about
-- EACH ARGV: name text
-- REPLIES: joined
-- INCLUDE: time

local function item()
  redis.call('ZADD', beats, now_text, name)
  redis.call('HSET', about, name, text)
  redis.call('ZADD', formats, newest, name)
  return 'joined'
end

return each(item)
