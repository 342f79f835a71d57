-- Note that Redis answers: every beat and every sweep does. When the note before is missing, older than half a lease
-- or in the future, Redis was away or its clock jumped, and processes could not beat: quiet for one lease.
local note = redis.call('HMGET', sweep, 'at', 'quiet')
local previous, quiet = tonumber(note[1]), tonumber(note[2]) or 0
if not previous or previous < now - lease_ms / 2 or previous > now then quiet = now + lease_ms end
redis.call('HSET', sweep, 'at', now_text, 'quiet', string.format('%.0f', quiet))
