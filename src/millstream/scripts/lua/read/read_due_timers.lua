-- Up to 100 timers that are due, without the first `passed` of them, and in how many milliseconds the next will be; empty:
-- there is none. A score may be infinite.
-- EACH KEYS: timers
-- EACH ARGV: passed
-- REPLIES: <data>
-- INCLUDE: time

local function item()
  if redis.call('EXISTS', timers) == 0 then return {{}, ''} end
  local due = redis.call('ZRANGEBYSCORE', timers, '-inf', now_text, 'LIMIT', passed, '100')
  local following = redis.call('ZRANGEBYSCORE', timers, '(' .. now_text, '+inf', 'WITHSCORES', 'LIMIT', '0', '1')
  return {due, following[2] and as_text(math.min(following[2] - now, 2 ^ 53)) or ''}
end

return each(item)
