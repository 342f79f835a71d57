-- A scheduler's step: mark a chunk of tasks that a failed sequence never reached as skipped.
-- ARGV: schedulers
-- EACH KEYS: status run stream
-- EACH ARGV: entry life decision step final ids*
-- REPLIES: done <step>
-- INCLUDE: acknowledge pending licence current apart

local function item()
  local states = redis.call('HMGET', status, unpack(ids))
  local fields = {}
  for n = 1, #ids do
    if states[n] == 'pending' then
      fields[#fields + 1] = ids[n]
      fields[#fields + 1] = 'skipped'
    end
  end
  local reply = refuse(run, stream, entry, life, decision, step, final)
  if reply then return reply end
  if #fields > 0 then
    redis.call('HSET', status, unpack(fields))
    end_apart(run)
  end
  return advance(run, decision, step, final)
end

local replies = each(item)
delete_acknowledged()
return replies
