-- Record the outcome of tasks and set going what follows from it: the successor in a sequence, the report of a gate
-- that is now empty or has failed, or the end of the run when its last gate ended well.
-- `counts`: the gate is parallel. `last`: when the gate ends well here, so does the run. `successor`: the message of
-- the sequence's next task, or empty. `detail`: JSON of the result or error, or empty.
-- KEYS: reports dead_letters runs_running runs_success
-- ARGV: runners consumer retention_ms
-- EACH KEYS: record status definition outcomes stream
-- EACH ARGV: run_id entry life epoch task id outcome detail gate at counts last successor
-- REPLIES: recorded stale
-- INCLUDE: time acknowledge record changes attempt standing gate end_task run_end dead_letter broken_message

when_broken = function(problem) broken_message(runners, problem, id) end

local by_me = ' ' .. consumer -- how an attempt ends that the caller began and nobody ended

-- Whether an attempt of this epoch has begun, and whether it has ended. Nearly always the caller began it and nobody
-- ended it; telling that by both ends of the record is four times as fast as a pattern.
local function attempt_of_caller(text)
  if text and text:sub(-#by_me) == by_me and text:sub(1, #epoch + 1) == epoch .. ' ' then return true, false end
  return last_attempt(text)
end

-- The same report again gets its first answer: the attempt has this epoch and has ended.
local function refused(ended)
  return ended and redis.call('HGET', status, id) == outcome and 'recorded' or 'stale'
end

local function follow_up(gate_ends, failed, held, kept)
  if not failed and successor ~= '' and not held then
    redis.call('XADD', stream, '*', 'm', successor)
  elseif gate_ends and last == '1' and not failed and successor == '' then
    end_run('success', kept or detail ~= '')
  elseif gate_ends then
    request_gate(gate, at, failed)
  end
end

local function item()
  local found = redis.call('HMGET', record, STATE, LIFE, epoch_of(task), attempt_of(task), CREATED,
    left_in(gate), failed_in(gate), KEPT, WIDE, HELD)
  local text = found[4]
  local begun, ended, number = attempt_of_caller(text)
  local current = not ended and standing(found[1], found[2], found[3]) == 'current'
  if not acknowledge(stream, runners, entry) or not current then return refused(ended) end

  local offset = since(found[5])
  if not begun then text = epoch .. ' ' .. as_text(math.max(1, number)) .. ' ' .. offset .. ' ' .. consumer end
  set_field(attempt_of(task), text .. ' ' .. offset)
  local gate_ends, failed = end_task(outcome, detail, found[6], found[7], found[8], found[9])
  follow_up(gate_ends, failed, found[10], found[8])
  write_changes()
  return 'recorded'
end

local replies = each(item)
delete_acknowledged()
index_ended_runs(runs_running, {success = runs_success})
return replies
