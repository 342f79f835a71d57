-- Make dead letters of task messages that cannot be understood, and end their task as failed: its run must not wait for
-- ever. `life`: the run's, because the message's own may not be readable; epochs never begin anew, so the epoch tells.
-- KEYS: reports dead_letters
-- ARGV: runners
-- EACH KEYS: record status outcomes stream
-- EACH ARGV: run_id entry life epoch task id gate at counts reason
-- REPLIES: done
-- INCLUDE: acknowledge record changes attempt standing next_epoch gate end_task fail_task dead_letter broken_message

when_broken = function(problem) broken_message(runners, problem, id) end

local function item()
  local found = redis.call('HMGET', record, STATE, LIFE, epoch_of(task), attempt_of(task), left_in(gate))
  local _, ended = last_attempt(found[4])
  local current = not ended and standing(found[1], found[2], found[3]) == 'current'
  if not acknowledge(stream, runners, entry) then return 'done' end
  dead_letter(stream, entry, reason, run_id, id)
  if current and (found[5] or counts == '0') then fail_task('UnreadableMessageError', reason) end
  write_changes()
  return 'done'
end

local replies = each(item)
delete_acknowledged()
return replies
