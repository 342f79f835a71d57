-- USES: record run_id life
-- Count a gate's ended child. Answers whether the gate is empty now, and whether a child has failed. `left` and
-- `failed_before` are what the record holds of the gate. One that is not open is not counted: a damaged message may name
-- it, and the doctor finds such a run.
local function count_child(gate, left, failed_before, failed)
  left = whole(left, 0)
  if left <= 0 then return false, failed end
  set_field(left_in(gate), as_text(left - 1))
  if failed then set_field(failed_in(gate), '1') end
  return left == 1, failed or failed_before
end

-- Ask a scheduler what follows: a gate is empty, or a sequence has come to `at`.
local function request_gate(gate, at, failed)
  local version = redis.call('HGET', record, VERSION) or '1'
  redis.call('XADD', reports, '*', 'v', version, 'kind', 'gate', 'run', run_id, 'life', life,
    'gate', gate, 'at', at, 'failed', failed and '1' or '0')
end
