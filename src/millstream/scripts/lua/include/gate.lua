-- Count a gate's ended child: adds the fields to write to `fields`. Answers whether the gate is empty now, and
-- whether a child has failed. `left` and `failed_before` are what the run's hash holds of the gate: nothing, when a
-- damaged message names a gate that is not open. That must not stop a script in its middle; the doctor finds such a run.
local function count_gate(fields, gate, left, failed_before, failed)
  left = (tonumber(left) or 0) - 1
  local n = #fields
  fields[n + 1], fields[n + 2] = 'g' .. gate, string.format('%.0f', left)
  if failed then fields[n + 3], fields[n + 4] = 'f' .. gate, '1' end
  return left == 0, failed or failed_before
end

-- Ask a scheduler what follows: a gate is empty, or a sequence has come to `at`.
local function report_gate(run, run_id, life, gate, at, failed)
  local version = redis.call('HGET', run, 'v') or '1'
  redis.call('XADD', reports, '*', 'v', version, 'run', run_id, 'life', life, 'gate', gate, 'at', at, 'failed', failed and '1' or '0')
end
