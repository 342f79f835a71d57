-- End the item's run: everything of it expires at one time, and the indices learn of it together.
-- USES: run_id record status definition outcomes
local ended_runs = {}

local function end_run(state, kept)
  local expiry = as_text(now + retention_ms)
  set_field(STATE, state)
  set_field(ENDED, now_text)
  redis.call('PEXPIREAT', status, expiry)
  redis.call('PEXPIREAT', record, expiry)
  redis.call('PEXPIREAT', definition, expiry)
  if kept then redis.call('PEXPIREAT', outcomes, expiry) end
  local group = ended_runs[state]
  if not group then group = {removed = {}, added = {}} ended_runs[state] = group end
  group.removed[#group.removed + 1] = run_id
  group.added[#group.added + 1] = now_text
  group.added[#group.added + 1] = run_id
end

local function index_ended_runs(running, index)
  for state, group in pairs(ended_runs) do
    redis.pcall('ZREM', running, unpack(group.removed)) -- an index that is no zset is the doctor's to find
    redis.pcall('ZADD', index[state], unpack(group.added))
  end
end
