-- Fire timers that are due: append what a timer carries to a stream, a task's message under the epoch that it was given,
-- or a request for the run (then `task` is empty). Whoever removes the timer fires it; one of an older epoch or life, or of
-- a run that has ended or is gone, is removed only, and one of a run that is held stays.
-- KEYS: timers dead_letters
-- EACH KEYS: record stream
-- EACH ARGV: run_id timer life task epoch fields*
-- REPLIES: done early held
-- INCLUDE: time record standing dead_letter

when_broken = function(problem)
  if redis.call('ZREM', timers, timer) == 0 then return end
  write_dead_letter(timers, timer, fields, 'it cannot be acted upon: ' .. problem, run_id, '')
end

local function item()
  local due = redis.call('ZSCORE', timers, timer)
  if not due then return 'done' end
  if tonumber(due) > now then return 'early' end
  local found = redis.call('HMGET', record, STATE, LIFE, task == '' and LIFE or epoch_of(task), HELD)
  local stands = standing(found[1], found[2], task == '' and epoch or found[3])
  if stands == 'current' and found[4] then return 'held' end
  if stands == 'current' then redis.call('XADD', stream, '*', unpack(fields)) end -- first: the stream may be damaged
  redis.call('ZREM', timers, timer)
  return 'done'
end

return each(item)
