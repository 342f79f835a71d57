-- Forget in the indices what has expired: at most 100 runs of one final state a call.
-- KEYS: runs
-- ARGV: retention_ms
-- EACH KEYS: ended
-- EACH ARGV:
-- REPLIES: trimmed more
-- INCLUDE: time

local function item()
  local before = string.format('%.0f', now - retention_ms)
  local expired = redis.call('ZRANGEBYSCORE', ended, '-inf', before, 'LIMIT', '0', '100')
  if #expired == 0 then return 'trimmed' end
  redis.call('ZREM', ended, unpack(expired))
  redis.call('ZREM', runs, unpack(expired))
  return #expired == 100 and 'more' or 'trimmed'
end

return each(item)
