-- A scheduler's last step for a run whose report cannot be understood: nobody can say what follows, so it ends failed.
-- KEYS: dead_letters runs_running runs_failed
-- ARGV: schedulers retention_ms
-- EACH KEYS: status run definition outcomes stream
-- EACH ARGV: entry run_id life decision step reason
-- REPLIES: done <step>
-- INCLUDE: time acknowledge pending licence end_run bury

local function item()
  local kept = redis.call('HGET', run, 'kept')
  local reply = refuse(run, stream, entry, life, decision, step, '1')
  if reply then return reply end
  bury(stream, entry, reason, run_id, '')
  redis.call('HSET', run, 'state', 'failed', 'ended', now_text)
  expire_run(run_id, 'failed', status, run, definition, kept and outcomes)
  return advance(run, decision, step, '1')
end

local replies = each(item)
delete_acknowledged()
index_ended(runs_running, {failed = runs_failed})
return replies
