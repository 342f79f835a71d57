-- Hand tasks back because their runner stops: a new message under a new epoch. The attempt that this cuts off is not
-- counted; those before it stay.
-- KEYS: dead_letters
-- ARGV: runners
-- EACH KEYS: record status stream
-- EACH ARGV: run_id entry life epoch task id alone message
-- REPLIES: handed_back stale
-- INCLUDE: acknowledge record changes attempt standing next_epoch dead_letter broken_message

when_broken = function(problem) broken_message(runners, problem, id) end

local function uncount(text)
  local of, number, started, runner = parse_attempt(text)
  if of ~= epoch then return end
  if number <= 1 then redis.call('HDEL', record, attempt_of(task))
  else set_field(attempt_of(task), '0 ' .. as_text(number - 1) .. ' ' .. started .. ' ' .. runner) end
end

local function item()
  local found = redis.call('HMGET', record, STATE, LIFE, epoch_of(task), attempt_of(task))
  if found[3] == as_text(epoch + 1) then -- the same call again, or the task was ended apart from its message
    return acknowledge(stream, runners, entry) and 'stale' or 'handed_back'
  end
  local _, ended = last_attempt(found[4])
  local current = not ended and standing(found[1], found[2], found[3]) == 'current'
  if not acknowledge(stream, runners, entry) or not current then return 'stale' end
  uncount(found[4])
  write_message(stream, message, pass_on(id), alone)
  write_changes()
  return 'handed_back'
end

local replies = each(item)
delete_acknowledged()
return replies
