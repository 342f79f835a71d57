-- Delete a consumer whose process has left or is dead, if nothing is pending for it: deleting it would drop what is.
-- EACH KEYS: stream beats
-- EACH ARGV: group name
-- REPLIES: left pending alive
-- INCLUDE: pending

local function item()
  if redis.call('ZSCORE', beats, name) then return 'alive' end
  if #pending(stream, group, '-', '+', '1', name) > 0 then return 'pending' end
  redis.pcall('XGROUP', 'DELCONSUMER', stream, group, name)
  return 'left'
end

return each(item)
