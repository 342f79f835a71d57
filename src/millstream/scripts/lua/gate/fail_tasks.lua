-- A scheduler's step for a run that cannot go on: end a chunk of tasks as failed, where they have not ended.
-- ARGV: schedulers
-- EACH KEYS: status run outcomes stream
-- EACH ARGV: entry life decision step final reason ids* numbers*
-- REPLIES: done <step>
-- INCLUDE: acknowledge pending licence current apart

local function item()
  local states = redis.call('HMGET', status, unpack(ids))
  local detail = cjson.encode({error = {type = 'AbandonedError', message = reason, traceback = ''}})
  local ended, details = {}, {}
  for n = 1, #ids do
    if states[n] == 'pending' or states[n] == 'running' then
      ended[#ended + 1], details[#details + 1] = ids[n], numbers[n]
      ended[#ended + 1], details[#details + 1] = 'failed', detail
    end
  end
  local reply = refuse(run, stream, entry, life, decision, step, final)
  if reply then return reply end
  if #ended > 0 then
    redis.call('HSET', status, unpack(ended))
    redis.call('HSET', outcomes, unpack(details))
    redis.call('HSET', run, 'kept', '1')
    end_apart(run)
  end
  return advance(run, decision, step, final)
end

local replies = each(item)
delete_acknowledged()
return replies
