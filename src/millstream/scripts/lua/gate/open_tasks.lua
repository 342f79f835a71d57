-- A scheduler's step: open a chunk of a decision, that is, set the counts of its gates and write the messages of
-- its tasks. A task that is not pending gets no message.
-- KEYS: tasks
-- ARGV: schedulers
-- EACH KEYS: status run stream
-- EACH ARGV: entry life decision step final counts* ids* messages*
-- REPLIES: done <step>
-- INCLUDE: acknowledge pending licence

local function item()
  local reply, apart = refuse(run, stream, entry, life, decision, step, final)
  if reply then return reply end
  local states = apart and #ids > 0 and redis.call('HMGET', status, unpack(ids))
  if #counts > 0 then redis.call('HSET', run, unpack(counts)) end
  for n = 1, #ids do
    if not states or states[n] == 'pending' then redis.call('XADD', tasks, '*', 'm', messages[n]) end
  end
  return advance(run, decision, step, final)
end

local replies = each(item)
delete_acknowledged()
return replies
