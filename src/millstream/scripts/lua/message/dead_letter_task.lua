-- Put task messages aside that cannot be understood, and end their task as failed: its run must not wait for ever.
-- KEYS: tasks reports dead_letters
-- ARGV: runners
-- EACH KEYS: status run outcomes
-- EACH ARGV: entry run_id epoch task id gate at counts reason
-- REPLIES: done
-- INCLUDE: acknowledge gate fail_task bury current

local function item()
  local found = redis.call('HMGET', run, 'state', 'life', 'e' .. task, 'g' .. gate)
  local state = redis.call('HGET', status, id)
  if not acknowledge(tasks, runners, entry) then return 'done' end
  bury(tasks, entry, reason, run_id, id)
  local life = found[2] or '1' -- its own cannot be read; epochs never begin anew, so the epoch tells
  local unended = is_current(found[1], life, life, found[3], epoch) and is_unended(state)
  if unended and (found[4] or counts == '0') then
    fail_task(status, run, outcomes, run_id, life, task, id, gate, at, counts, 'UnreadableMessageError', reason)
  end
  return 'done'
end

local replies = each(item)
delete_acknowledged()
return replies
