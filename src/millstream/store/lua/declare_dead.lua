-- Take the names of processes away that have not beaten for a lease, 100 a call, and answer in how many milliseconds
-- the next could follow. Each sweep notes its time. When the note before is missing, older than half a lease or in the
-- future, Redis was away or its clock jumped, and processes could not beat: nobody is declared dead for one lease.
-- After that a beat in the future is one from before such a jump, and its process dead.
-- KEYS: sweep
-- ARGV: lease_ms
-- EACH KEYS: beats about
-- EACH ARGV:
-- REPLIES: quiet <ms>
-- INCLUDE: time
local note = redis.call('HMGET', sweep, 'at', 'quiet')
local previous, quiet = tonumber(note[1]), tonumber(note[2]) or 0
if not previous or previous < now - lease_ms / 2 or previous > now then quiet = now + lease_ms end
redis.call('HSET', sweep, 'at', now_text, 'quiet', string.format('%.0f', quiet))

local function item()
  if now < quiet then return 'quiet' end
  local expired = string.format('(%.0f', now - lease_ms)
  for _, range in ipairs({{'-inf', expired}, {'(' .. now_text, '+inf'}}) do
    local dead = redis.call('ZRANGEBYSCORE', beats, range[1], range[2], 'LIMIT', '0', '100')
    if #dead > 0 then
      redis.call('ZREM', beats, unpack(dead))
      redis.call('HDEL', about, unpack(dead))
    end
  end
  local oldest = redis.call('ZRANGE', beats, '0', '0', 'WITHSCORES')
  return string.format('%.0f', oldest[2] and math.max(0, oldest[2] + lease_ms - now) or lease_ms)
end

return each(item)
