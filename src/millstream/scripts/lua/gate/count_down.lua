-- A scheduler's last step for a gate inside a parallel gate: count the parent down; when it is empty, report it.
-- KEYS: reports dead_letters
-- ARGV: schedulers
-- EACH KEYS: record status stream
-- EACH ARGV: run_id entry life decision step final gate failed
-- REPLIES: done held <step>
-- INCLUDE: acknowledge pending record changes dead_letter broken_message step gate

when_broken = function(problem) broken_message(schedulers, problem, '') end

local function item()
  local found = redis.call('HMGET', record, left_in(gate), failed_in(gate))
  local reply = check_step(false)
  if reply then return reply end
  local gate_ends, gate_failed = count_child(gate, found[1], found[2], failed == '1')
  if gate_ends then request_gate(gate, '0', gate_failed) end
  return step_taken()
end

local replies = each(item)
delete_acknowledged()
return replies
