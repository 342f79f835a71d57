-- Write messages anew, as they stand: those that a dead process holds, or that the caller cannot read because a newer
-- version wrote them. The old entry is acknowledged and deleted, so whoever still holds it cannot act upon it any more.
-- ARGV: consumer
-- EACH KEYS: stream beats
-- EACH ARGV: group entry owner
-- REPLIES: done alive
-- INCLUDE: acknowledge pending

local function item()
  if owner ~= consumer and redis.call('ZSCORE', beats, owner) then return 'alive' end
  if #pending(stream, group, entry, entry, '1', owner) == 0 then return 'done' end
  local rows = redis.call('XRANGE', stream, entry, entry)
  acknowledge(stream, group, entry)
  if rows[1] then redis.call('XADD', stream, '*', unpack(rows[1][2])) end
  return 'done'
end

local replies = each(item)
delete_acknowledged()
return replies
