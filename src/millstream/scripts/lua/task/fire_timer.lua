-- Fire timers that are due: write the task's message under the epoch that the timer was given. Removing the timer is
-- the licence; one of an older epoch or life, or of a run that has ended or is gone, is removed only.
-- KEYS: tasks timers
-- EACH KEYS: status run
-- EACH ARGV: timer life epoch task id alone message
-- REPLIES: done early
-- INCLUDE: time message

local function item()
  local due = redis.call('ZSCORE', timers, timer)
  if not due then return 'done' end
  if tonumber(due) > now then return 'early' end
  local found = redis.call('HMGET', run, 'state', 'life', 'e' .. task)
  local state = redis.call('HGET', status, id)
  redis.call('ZREM', timers, timer)
  if found[1] == 'running' and (found[2] or '1') == life and (found[3] or '1') == epoch and state == 'pending' then
    write_message(message, epoch, alone)
  end
  return 'done'
end

return each(item)
