-- A scheduler's last step for a gate inside a parallel gate: count the parent down; when it is empty, report it.
-- KEYS: reports
-- ARGV: schedulers
-- EACH KEYS: run stream
-- EACH ARGV: entry run_id life decision step gate failed
-- REPLIES: done <step>
-- INCLUDE: acknowledge pending licence gate

local function item()
  local found = redis.call('HMGET', run, 'g' .. gate, 'f' .. gate)
  local reply = refuse(run, stream, entry, life, decision, step, '1')
  if reply then return reply end
  local left = (tonumber(found[1]) or 0) - 1
  if left < 0 then return advance(run, decision, step, '1') end
  if failed == '0' and found[2] then failed = '1' end
  redis.call('HSET', run, 'g' .. gate, string.format('%.0f', left), unpack(failed == '1' and {'f' .. gate, '1'} or {}))
  if left == 0 then report_gate(run, run_id, life, gate, '0', failed == '1') end
  return advance(run, decision, step, '1')
end

local replies = each(item)
delete_acknowledged()
return replies
