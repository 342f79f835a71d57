-- A runner that lacks a task's function gives it back by a timer, uncounted; the delay grows with the time for which it
-- has been unknown. When no live runner has offered it for `unknown_ms` nothing is written, and the caller ends it.
-- `offered`: when it was last offered, by Redis's clock.
-- After Redis was away nobody could offer: nothing expires while it is quiet.
-- KEYS: tasks timers sweep
-- ARGV: runners unknown_ms
-- EACH KEYS: status run
-- EACH ARGV: entry life epoch task id offered timer
-- REPLIES: deferred expired stale
-- INCLUDE: time acknowledge current
local SHORTEST, LONGEST = 500, 30000

local function item()
  local found = redis.call('HMGET', run, 'state', 'life', 'e' .. task, 'u' .. task)
  local following = string.format('%.0f', epoch + 1)
  if found[3] == following then return 'deferred' end
  local state = redis.call('HGET', status, id)
  if not (is_current(found[1], found[2], life, found[3], epoch) and is_unended(state)) then
    acknowledge(tasks, runners, entry)
    return 'stale'
  end
  local first = tonumber(found[4]) or now
  if now - math.max(first, offered) >= tonumber(unknown_ms)
    and now >= (tonumber(redis.call('HGET', sweep, 'quiet')) or 0) then return 'expired' end
  if not acknowledge(tasks, runners, entry) then return 'stale' end
  local due = now + math.min(math.max((now - first) / 2, SHORTEST), LONGEST)
  redis.call('ZADD', timers, string.format('%.0f', due), timer)
  redis.call('HSET', run, 'e' .. task, following, 'u' .. task, string.format('%.0f', first))
  redis.call('HSET', status, id, 'pending')
  return 'deferred'
end

local replies = each(item)
delete_acknowledged()
return replies
