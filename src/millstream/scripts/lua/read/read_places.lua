-- A run's state, the times to live of its keys, and its scores in the indices: of all runs, and of each state.
-- EACH KEYS: record status definition outcomes runs runs_running runs_success runs_failed runs_cancelled
-- EACH ARGV: run_id
-- REPLIES: <data>
-- INCLUDE: record

local function item()
  local ttls, scores = {}, {}
  for n, key in ipairs({record, status, definition, outcomes}) do ttls[n] = redis.call('PTTL', key) end
  for n, index in ipairs({runs, runs_running, runs_success, runs_failed, runs_cancelled}) do
    scores[n] = redis.call('ZSCORE', index, run_id)
  end
  return {redis.call('HGET', record, STATE), ttls, scores}
end

return each(item)
