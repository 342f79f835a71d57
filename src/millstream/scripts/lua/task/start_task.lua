-- Start tasks that a runner has just read: the message must be pending for the caller and its epoch current.
-- Repeating it is harmless. What is obsolete is acknowledged and deleted; what is not the caller's, or of a run that is
-- held, is left alone. A name that was declared dead starts nothing.
-- KEYS: runner_beats dead_letters
-- ARGV: runners consumer
-- EACH KEYS: record status stream
-- EACH ARGV: run_id entry life epoch task id
-- REPLIES: started obsolete unowned held
-- INCLUDE: time acknowledge pending record changes attempt standing dead_letter broken_message
local alive
local owned = {}

when_broken = function(problem) broken_message(runners, problem, id) end

-- One XPENDING for a contiguous read of a stream; an entry that it does not show is asked for by itself.
local function owns()
  local entries = owned[stream]
  if not entries then
    entries = {}
    owned[stream] = entries
    for _, row in ipairs(pending(stream, runners, entry, '+', as_text(items), consumer)) do entries[row[1]] = true end
  end
  return entries[entry] or #pending(stream, runners, entry, entry, '1', consumer) == 1
end

local function item()
  if alive == nil then alive = redis.call('ZSCORE', runner_beats, consumer) end
  if not alive then return 'unowned' end
  local found = redis.call('HMGET', record, STATE, LIFE, epoch_of(task), attempt_of(task), CREATED, HELD)
  local stands = standing(found[1], found[2], found[3])
  if stands == 'newer' then return 'unowned' end
  local begun, ended, number = last_attempt(found[4])
  if stands == 'obsolete' or ended then
    acknowledge(stream, runners, entry)
    return 'obsolete'
  end
  if not owns() then return 'unowned' end
  if begun then return 'started' end
  if found[6] then return 'held' end
  move_task(id, 'running')
  set_field(attempt_of(task), epoch .. ' ' .. as_text(number + 1) .. ' ' .. since(found[5]) .. ' ' .. consumer)
  write_changes()
  return 'started'
end

local replies = each(item)
delete_acknowledged()
return replies
