-- A scheduler's step: end a chunk of tasks apart from their messages. `pending` and `running` say in which state those end
-- that are so now; empty: they are left alone. The epoch of each is closed, so whoever works on it is not heard any more.
-- `error`: JSON that is kept for those that fail.
-- KEYS: dead_letters
-- ARGV: schedulers
-- EACH KEYS: record status outcomes stream
-- EACH ARGV: run_id entry life decision step final pending_to running_to error_kept ids* numbers*
-- REPLIES: done held <step>
-- INCLUDE: acknowledge pending record changes dead_letter broken_message step

when_broken = function(problem) broken_message(schedulers, problem, '') end

local function end_apart(id, task, state, epoch, errors)
  local to = state == 'pending' and pending_to or state == 'running' and running_to or ''
  if to == '' then return end
  move_task(id, to)
  set_field(epoch_of(task), as_text(whole(epoch, 1) + 1))
  if to == 'failed' and error_kept ~= '' then
    errors[#errors + 1] = task
    errors[#errors + 1] = error_kept
  end
end

local function item()
  local epochs, errors = {}, {}
  for n = 1, #numbers do epochs[n] = epoch_of(numbers[n]) end
  local states = redis.call('HMGET', status, unpack(ids))
  epochs = redis.call('HMGET', record, unpack(epochs))
  local reply = check_step(false)
  if reply then return reply end
  for n = 1, #ids do end_apart(ids[n], numbers[n], states[n], epochs[n], errors) end
  if #errors > 0 then
    set_field(KEPT, '1')
    redis.call('HSET', outcomes, unpack(errors))
  end
  return step_taken()
end

local replies = each(item)
delete_acknowledged()
return replies
