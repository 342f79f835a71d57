-- End the item's task as failed apart from an execution: its epoch is closed, and what follows from the failure is
-- asked for.
-- USES: record task gate at
local function fail_task(kind, reason)
  local found = redis.call('HMGET', record, left_in(gate), failed_in(gate), KEPT, WIDE)
  close_epoch()
  local gate_ends, failed = end_task('failed', error_of(kind, reason), found[1], found[2], found[3], found[4])
  if gate_ends then request_gate(gate, at, failed) end
end
