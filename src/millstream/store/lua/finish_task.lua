-- Record the outcome of tasks and set going what follows from it: the successor in a sequence, the report of a gate
-- that is now empty or has failed, or the end of the run when its last gate ended well.
-- `counts`: the gate is parallel. `last`: when the gate ends well here, so does the run. `successor`: the message of
-- the sequence's next task, or empty. `detail`: JSON of the result or error, or empty.
-- KEYS: tasks reports runs_running runs_success
-- ARGV: runners consumer retention_ms
-- EACH KEYS: status run definition outcomes
-- EACH ARGV: entry run_id life epoch task id outcome detail gate at counts last successor
-- REPLIES: recorded stale
-- INCLUDE: time acknowledge end_run gate current

-- The same report again gets its first answer: the attempt's record has this epoch and an end.
local function repeated(record, epoch, state, outcome)
  return state == outcome and record and record:match('^(%d+) %d+ %d+ %S+ %d+$') == epoch
end

local function item()
  local found = redis.call('HMGET', run, 'state', 'life', 'created', 'e' .. task, 'a' .. task, 'g' .. gate, 'f' .. gate, 'kept')
  if not found[1] then acknowledge(tasks, runners, entry) return 'stale' end
  local state, record, kept = redis.call('HGET', status, id), found[5], found[8]
  if not is_current(found[1], found[2], life, found[4], epoch, state) then
    if repeated(record, epoch, state, outcome) then return 'recorded' end
    acknowledge(tasks, runners, entry)
    return 'stale'
  end
  if not acknowledge(tasks, runners, entry) then return 'stale' end

  local offset = string.format('%.0f', now - found[3])
  if not record or record:match('^%d+') ~= epoch then
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
  if detail ~= '' then redis.call('HSET', outcomes, task, detail) end
  if next_task then
    redis.call('XADD', tasks, '*', 'm', successor)
  elseif run_ends then
    expire_run(run_id, 'success', status, run, definition, kept and outcomes)
  elseif gate_ends then
    report_gate(run_id, life, gate, at, failed)
  end
  return 'recorded'
end

local replies = each(item)
delete_acknowledged()
index_ended(runs_running, {success = runs_success})
return replies
