-- Take over tasks that a dead runner holds: a new message under a new epoch. Had it started the task, an execution is
-- lost; at `max_lost` the task fails and becomes a dead letter. At its last chance before that it is marked to be
-- started alone, so that no neighbour is blamed for it.
-- KEYS: tasks reports dead_letters runner_beats
-- ARGV: runners max_lost
-- EACH KEYS: status run outcomes
-- EACH ARGV: entry owner run_id life epoch task id gate at counts message
-- REPLIES: taken_over lost dead_lettered stale alive
-- INCLUDE: acknowledge pending message gate fail_task bury current

local function started(record, epoch) return record and record:match('^(%d+) %d+ %d+ %S+$') == epoch end

local function item()
  if redis.call('ZSCORE', runner_beats, owner) then return 'alive' end
  local found = redis.call('HMGET', run, 'state', 'life', 'e' .. task, 'a' .. task, 'l' .. task)
  local state, following = redis.call('HGET', status, id), string.format('%.0f', epoch + 1)
  local counted = started(found[4], epoch)
  local lost = (tonumber(found[5]) or 0) + (counted and 1 or 0)
  if #pending(tasks, runners, entry, entry, '1', owner) == 0 then -- the same call again gets its first answer
    if found[3] == following then return counted and 'lost' or 'taken_over' end
    return counted and state == 'failed' and 'dead_lettered' or 'stale'
  end
  if not (is_current(found[1], found[2], life, found[3], epoch) and is_unended(state)) then
    acknowledge(tasks, runners, entry)
    return 'stale'
  end
  acknowledge(tasks, runners, entry)
  if counted then redis.call('HSET', run, 'l' .. task, string.format('%.0f', lost)) end
  if lost >= tonumber(max_lost) then
    local reason = 'its runner died ' .. string.format('%.0f', lost) .. (lost == 1 and ' time' or ' times')
    bury(tasks, entry, reason, run_id, id)
    fail_task(status, run, outcomes, run_id, life, task, id, gate, at, counts, 'LostExecutionsError', reason)
    return 'dead_lettered'
  end
  write_message(message, following, lost > 0 and lost == max_lost - 1 and '1' or '0')
  redis.call('HSET', run, 'e' .. task, following)
  redis.call('HSET', status, id, 'pending')
  return counted and 'lost' or 'taken_over'
end

local replies = each(item)
delete_acknowledged()
return replies
