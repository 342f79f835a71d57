-- A runner that lacks a task's function gives it back by a timer, uncounted; the delay grows with the time for which it
-- has been unknown. When no live runner has offered it for `unknown_ms` nothing is written, and the caller ends it.
-- `offered`: when it was last offered, by Redis's clock.
-- After Redis was away nobody could offer: nothing expires while it is quiet.
-- KEYS: timers sweep dead_letters
-- ARGV: runners unknown_ms
-- EACH KEYS: record status stream
-- EACH ARGV: run_id entry life epoch task id offered timer
-- REPLIES: deferred expired stale
-- INCLUDE: time acknowledge record changes attempt standing next_epoch dead_letter broken_message
local SHORTEST, LONGEST = 500, 30000

when_broken = function(problem) broken_message(runners, problem, id) end

local function item()
  local found = redis.call('HMGET', record, STATE, LIFE, epoch_of(task), attempt_of(task), unknown_of(task))
  if found[3] == as_text(epoch + 1) then -- the same call again, or the task was ended apart from its message
    return acknowledge(stream, runners, entry) and 'stale' or 'deferred'
  end
  local _, ended = last_attempt(found[4])
  if ended or standing(found[1], found[2], found[3]) ~= 'current' then
    acknowledge(stream, runners, entry)
    return 'stale'
  end
  local first = whole(found[5], now)
  if now - math.max(first, offered) >= tonumber(unknown_ms)
    and now >= whole(redis.call('HGET', sweep, 'quiet'), 0) then return 'expired' end
  if not acknowledge(stream, runners, entry) then return 'stale' end
  local due = now + math.min(math.max((now - first) / 2, SHORTEST), LONGEST)
  redis.call('ZADD', timers, as_text(due), timer)
  set_field(unknown_of(task), as_text(first))
  pass_on(id)
  write_changes()
  return 'deferred'
end

local replies = each(item)
delete_acknowledged()
return replies
