-- Start tasks that a runner has just read: the message must be pending for the caller and its epoch current.
-- Repeating it is harmless. What is obsolete is acknowledged and deleted; what is not the caller's is left alone. A name
-- that was declared dead starts nothing.
-- KEYS: tasks runner_beats
-- ARGV: runners consumer
-- EACH KEYS: status run
-- EACH ARGV: entry life epoch task id
-- REPLIES: started obsolete unowned
-- INCLUDE: time acknowledge pending current apart
local ARGUMENTS = 5
local alive = redis.call('ZSCORE', runner_beats, consumer)
local owned = {}
do -- one XPENDING for a contiguous read; an entry that it does not show is asked for by itself
  local first, last = ARGV[3], ARGV[#ARGV - ARGUMENTS + 1]
  local count = string.format('%.0f', (#ARGV - 2) / ARGUMENTS)
  for _, row in ipairs(pending(tasks, runners, first, last, count, consumer)) do owned[row[1]] = true end
end

local function owns(entry)
  return owned[entry] or #pending(tasks, runners, entry, entry, '1', consumer) == 1
end

local function obsolete(entry)
  acknowledge(tasks, runners, entry)
  return 'obsolete'
end

local function item()
  if not alive then return 'unowned' end
  local found = redis.call('HMGET', run, 'state', 'life', 'created', 'e' .. task, 'a' .. task, 'apart')
  if found[1] ~= 'running' or (found[2] or '1') ~= life then return obsolete(entry) end
  local current = found[4] or '1'
  if current ~= epoch then
    return tonumber(epoch) < tonumber(current) and obsolete(entry) or 'unowned'
  end
  local record, attempt, before, ended = found[5], 1, nil, ''
  if record then
    before, attempt, ended = record:match('^(%d+) (%d+) %d+ %S+(.*)$')
    attempt = attempt + 1
  end
  local again = before == epoch
  if again and ended ~= '' or ended_apart(found[6], status, id) then return obsolete(entry) end
  if not owns(entry) then return 'unowned' end
  if again then return 'started' end
  redis.call('HSET', status, id, 'running')
  redis.call('HSET', run, 'a' .. task, string.format('%s %.0f %.0f %s', epoch, attempt, now - found[3], consumer))
  return 'started'
end

local replies = each(item)
delete_acknowledged()
return replies
