-- Record that Redis answers: every beat and every sweep does. When the time before is missing, older than half a lease
-- or in the future, Redis was away or its clock jumped, and processes could not beat: quiet for one lease.
local swept = redis.pcall('HMGET', sweep, 'at', 'quiet')
if swept.err then
  redis.call('DEL', sweep) -- it is no hash, and holds nothing that is missed
  swept = {}
end
local previous, quiet = whole(swept[1]), whole(swept[2], 0)
if not previous or previous < now - lease_ms / 2 or previous > now then quiet = now + lease_ms end
redis.call('HSET', sweep, 'at', now_text, 'quiet', as_text(quiet))
