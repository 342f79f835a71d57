-- A scheduler's last step for a run: record how it ended and let its keys expire.
-- KEYS: runs_running runs_success runs_failed
-- ARGV: schedulers retention_ms
-- EACH KEYS: status run definition outcomes stream
-- EACH ARGV: entry run_id life decision step state
-- REPLIES: done <step>
-- INCLUDE: time acknowledge pending licence end_run

local function item()
  local kept = redis.call('HGET', run, 'kept')
  local reply = refuse(run, stream, entry, life, decision, step, '1')
  if reply then return reply end
  redis.call('HSET', run, 'state', state, 'ended', now_text)
  expire_run(run_id, state, status, run, definition, kept and outcomes)
  return advance(run, decision, step, '1')
end

local replies = each(item)
delete_acknowledged()
index_ended(runs_running, {success = runs_success, failed = runs_failed})
return replies
