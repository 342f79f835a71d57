-- End a task as failed without an execution (see apart.lua): its status, its error, its gate's count, and the report when that is due.
local function fail_task(status, run, outcomes, run_id, life, task, id, gate, at, counts, kind, reason)
  local found = redis.call('HMGET', run, 'g' .. gate, 'f' .. gate)
  local fields, ends, failed = {'kept', '1', 'apart', '1'}, true, true
  if counts == '1' then ends, failed = count_gate(fields, gate, found[1], found[2], true) end
  redis.call('HSET', status, id, 'failed')
  redis.call('HSET', run, unpack(fields))
  redis.call('HSET', outcomes, task, cjson.encode({error = {type = kind, message = reason, traceback = ''}}))
  if ends then report_gate(run, run_id, life, gate, at, failed) end
end
