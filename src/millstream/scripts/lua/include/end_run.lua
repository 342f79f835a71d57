-- End runs: everything of a run expires at one time, and the indices learn of it together.
local ended = {}

local function expire_run(run_id, state, status, run, definition, outcomes)
  local at = string.format('%.0f', now + retention_ms)
  redis.call('PEXPIREAT', status, at)
  redis.call('PEXPIREAT', run, at)
  redis.call('PEXPIREAT', definition, at)
  if outcomes then redis.call('PEXPIREAT', outcomes, at) end
  local group = ended[state]
  if not group then group = {removed = {}, added = {}} ended[state] = group end
  group.removed[#group.removed + 1] = run_id
  group.added[#group.added + 1] = now_text
  group.added[#group.added + 1] = run_id
end

local function index_ended(running, index)
  for state, group in pairs(ended) do
    redis.call('ZREM', running, unpack(group.removed))
    redis.call('ZADD', index[state], unpack(group.added))
  end
end
