-- A scheduler's last step for a run: record how it ended and let its keys expire. With a reason nobody could say what
-- follows from the message, so it becomes a dead letter.
-- KEYS: dead_letters runs_running runs_success runs_failed runs_cancelled
-- ARGV: schedulers retention_ms
-- EACH KEYS: record status definition outcomes stream
-- EACH ARGV: run_id entry life decision step final state reason
-- REPLIES: done held <step>
-- INCLUDE: time acknowledge pending record changes dead_letter broken_message step run_end

when_broken = function(problem) broken_message(schedulers, problem, '') end

local function item()
  local reply, kept = check_step(false)
  if reply then return reply end
  if reason ~= '' then dead_letter(stream, entry, reason, run_id, '') end
  end_run(state, kept)
  return step_taken()
end

local replies = each(item)
delete_acknowledged()
index_ended_runs(runs_running, {success = runs_success, failed = runs_failed, cancelled = runs_cancelled})
return replies
