-- Take over tasks that a dead runner holds: a new message under a new epoch. Had it started the task, an execution is
-- lost; at `max_lost` the task fails and becomes a dead letter. At its last chance before that it is marked to be
-- started alone, so that no neighbour is blamed for it.
-- KEYS: reports dead_letters runner_beats
-- ARGV: runners max_lost
-- EACH KEYS: record status outcomes stream
-- EACH ARGV: run_id entry owner life epoch task id gate at counts message
-- REPLIES: taken_over lost dead_lettered stale alive
-- INCLUDE: acknowledge pending record changes attempt standing next_epoch gate end_task fail_task dead_letter broken_message

when_broken = function(problem) broken_message(runners, problem, id) end

-- The same call again gets its first answer.
local function repeated(latest, counted, lost)
  if latest ~= as_text(epoch + 1) then return 'stale' end
  return not counted and 'taken_over' or lost >= tonumber(max_lost) and 'dead_lettered' or 'lost'
end

local function item()
  if redis.call('ZSCORE', runner_beats, owner) then return 'alive' end
  local found = redis.call('HMGET', record, STATE, LIFE, epoch_of(task), attempt_of(task), lost_of(task))
  local counted, ended = last_attempt(found[4])
  local lost = whole(found[5], 0)
  if #pending(stream, runners, entry, entry, '1', owner) == 0 then return repeated(found[3], counted, lost) end
  local current = not ended and standing(found[1], found[2], found[3]) == 'current'
  acknowledge(stream, runners, entry)
  if not current then return 'stale' end
  if counted then
    lost = lost + 1
    set_field(lost_of(task), as_text(lost))
  end
  if lost >= tonumber(max_lost) then
    local reason = 'its runner died ' .. as_text(lost) .. (lost == 1 and ' time' or ' times')
    dead_letter(stream, entry, reason, run_id, id)
    fail_task('LostExecutionsError', reason)
  else
    write_message(stream, message, pass_on(id), lost > 0 and lost == max_lost - 1 and '1' or '0')
  end
  write_changes()
  return lost >= tonumber(max_lost) and 'dead_lettered' or counted and 'lost' or 'taken_over'
end

local replies = each(item)
delete_acknowledged()
return replies
