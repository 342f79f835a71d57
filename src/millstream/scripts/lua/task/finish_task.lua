-- Record the outcome of tasks and set going what follows from it: the successor in a sequence, the report of a gate
-- that is now empty or has failed, or the end of the run when its last gate ended well.
-- `counts`: the gate is parallel. `last`: when the gate ends well here, so does the run. `successor`: the message of
-- the sequence's next task, or empty. `detail`: JSON of the result or error, or empty.
-- KEYS: tasks reports runs_running runs_success
-- ARGV: runners consumer retention_ms
-- EACH KEYS: status run definition outcomes
-- EACH ARGV: entry run_id life epoch task id outcome detail gate at counts last successor
-- REPLIES: recorded stale
-- INCLUDE: time acknowledge end_run gate current apart

local by_me = ' ' .. consumer -- how a record ends that the caller began and nobody ended

-- The same report again gets its first answer: the attempt's record has this epoch and an end.
local function refused(record, epoch, status, id, outcome)
  local repeated = record and record:match('^(%d+) %d+ %d+ %S+ %d+$') == epoch
  return repeated and redis.call('HGET', status, id) == outcome and 'recorded' or 'stale'
end

-- Whether the record is of this epoch, and whether that attempt has ended. Nearly always the caller began it and nobody
-- ended it; telling that by both ends of the record is four times as fast as a pattern.
local function attempt_of(record, epoch)
  if not record then return false, false end
  if record:sub(-#by_me) == by_me and record:sub(1, #epoch + 1) == epoch .. ' ' then return true, false end
  local before, ended = record:match('^(%d+) %d+ %d+ %S+(.*)$')
  return before == epoch, before == epoch and ended ~= ''
end

local function item()
  local found = redis.call('HMGET', run, 'state', 'life', 'created', 'e' .. task, 'a' .. task, 'g' .. gate, 'f' .. gate, 'kept', 'apart', 'wide')
  local record, kept = found[5], found[8]
  local begun, ended = attempt_of(record, epoch)
  local current = is_current(found[1], found[2], life, found[4], epoch)
    and not ended and not ended_apart(found[9], status, id)
  if not acknowledge(tasks, runners, entry) or not current then return refused(record, epoch, status, id, outcome) end

  local offset = string.format('%.0f', now - found[3])
  if not begun then
    record = epoch .. ' ' .. (record and record:match('^%d+ (%d+)') or '1') .. ' ' .. offset .. ' ' .. consumer
  end
  local failed = outcome == 'failed'
  local fields = {'a' .. task, record .. ' ' .. offset}
  local gate_ends = true
  if counts == '1' then gate_ends, failed = count_gate(fields, gate, found[6], found[7], failed) end
  local next_task = not failed and successor ~= ''
  local run_ends = gate_ends and last == '1' and not failed and not next_task
  local n = #fields
  if detail ~= '' and not kept then kept, fields[n + 1], fields[n + 2], n = true, 'kept', '1', n + 2 end
  if run_ends then fields[n + 1], fields[n + 2], fields[n + 3], fields[n + 4] = 'state', 'success', 'ended', now_text end

  redis.call('HSET', status, id, outcome)
  redis.call('HSET', run, unpack(fields))
  if detail ~= '' then
    if found[10] and not found[8] then redis.call('HSET', outcomes, task, found[10]) end -- a table, as submit.lua says
    redis.call('HSET', outcomes, task, detail)
  end
  if next_task then
    redis.call('XADD', tasks, '*', 'm', successor)
  elseif run_ends then
    expire_run(run_id, 'success', status, run, definition, kept and outcomes)
  elseif gate_ends then
    report_gate(run, run_id, life, gate, at, failed)
  end
  return 'recorded'
end

local replies = each(item)
delete_acknowledged()
index_ended(runs_running, {success = runs_success})
return replies
