-- Hand tasks back because their runner stops: a new message under a new epoch, and the attempt is not counted.
-- KEYS: tasks
-- ARGV: runners
-- EACH KEYS: status run
-- EACH ARGV: entry life epoch task id message
-- REPLIES: handed_back stale
-- INCLUDE: acknowledge

local function item()
  local found = redis.call('HMGET', run, 'state', 'life', 'e' .. task)
  local following = string.format('%.0f', epoch + 1)
  if found[3] == following then return 'handed_back' end
  local state = redis.call('HGET', status, id)
  if found[1] ~= 'running' or (found[2] or '1') ~= life or (found[3] or '1') ~= epoch
    or (state ~= 'running' and state ~= 'pending') then
    acknowledge(tasks, runners, entry)
    return 'stale'
  end
  if not acknowledge(tasks, runners, entry) then return 'stale' end
  redis.call('XADD', tasks, '*', 'm', message, 'e', following)
  redis.call('HDEL', run, 'a' .. task)
  redis.call('HSET', run, 'e' .. task, following)
  redis.call('HSET', status, id, 'pending')
  return 'handed_back'
end

local replies = each(item)
delete_acknowledged()
return replies
