-- Hand tasks back because their runner stops: a new message under a new epoch. The attempt that this cuts off is not
-- counted; those before it stay.
-- KEYS: tasks
-- ARGV: runners
-- EACH KEYS: status run
-- EACH ARGV: entry life epoch task id alone message
-- REPLIES: handed_back stale
-- INCLUDE: acknowledge message current

local function uncount(run, field, record, epoch)
  local started, attempt, rest = record:match('^(%d+) (%d+) (%d+ %S+)')
  if started ~= epoch then return end
  if attempt == '1' then redis.call('HDEL', run, field)
  else redis.call('HSET', run, field, string.format('0 %.0f %s', attempt - 1, rest)) end
end

local function item()
  local found = redis.call('HMGET', run, 'state', 'life', 'e' .. task, 'a' .. task)
  local following = string.format('%.0f', epoch + 1)
  if found[3] == following then return 'handed_back' end
  local state = redis.call('HGET', status, id)
  if not (is_current(found[1], found[2], life, found[3], epoch) and is_unended(state)) then
    acknowledge(tasks, runners, entry)
    return 'stale'
  end
  if not acknowledge(tasks, runners, entry) then return 'stale' end
  write_message(message, following, alone)
  if found[4] then uncount(run, 'a' .. task, found[4], epoch) end
  redis.call('HSET', run, 'e' .. task, following)
  redis.call('HSET', status, id, 'pending')
  return 'handed_back'
end

local replies = each(item)
delete_acknowledged()
return replies
