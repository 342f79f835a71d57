-- A scheduler's step: open a chunk of a decision, that is, set the counts of its gates and write the messages of its
-- tasks. The message of a task that was ended meanwhile is of a closed epoch, and starts nothing.
-- KEYS: tasks dead_letters
-- ARGV: schedulers
-- EACH KEYS: record status stream
-- EACH ARGV: run_id entry life decision step final counts* messages*
-- REPLIES: done held <step>
-- INCLUDE: acknowledge pending record changes dead_letter broken_message step

when_broken = function(problem) broken_message(schedulers, problem, '') end

local function item()
  local reply = check_step(true)
  if reply then return reply end
  for n = 1, #counts, 2 do set_field(left_in(counts[n]), counts[n + 1]) end
  for n = 1, #messages do redis.call('XADD', tasks, '*', 'm', messages[n]) end
  return step_taken()
end

local replies = each(item)
delete_acknowledged()
return replies
