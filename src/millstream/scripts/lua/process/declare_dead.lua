-- Take the names of processes away that have not beaten for a lease, 100 a call, and answer in how many milliseconds
-- the next could follow. While it is quiet nobody is declared dead. After that a beat in the future is one from before
-- a clock jumped back, and its process dead.
-- KEYS: sweep formats
-- ARGV: lease_ms
-- EACH KEYS: beats about
-- EACH ARGV:
-- REPLIES: quiet <ms>
-- INCLUDE: time sweep_time

local function item()
  if now < quiet then return 'quiet' end
  local expired = string.format('(%.0f', now - lease_ms)
  for _, range in ipairs({{'-inf', expired}, {'(' .. now_text, '+inf'}}) do
    local dead = redis.call('ZRANGEBYSCORE', beats, range[1], range[2], 'LIMIT', '0', '100')
    if #dead > 0 then
      redis.call('ZREM', beats, unpack(dead))
      redis.call('HDEL', about, unpack(dead))
      redis.call('ZREM', formats, unpack(dead))
    end
  end
  local oldest = redis.call('ZRANGE', beats, '0', '0', 'WITHSCORES')
  return string.format('%.0f', oldest[2] and math.max(0, oldest[2] + lease_ms - now) or lease_ms)
end

return each(item)
