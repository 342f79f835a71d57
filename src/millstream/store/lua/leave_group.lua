-- Delete a consumer that stops, if nothing is pending for it: deleting it would drop what is.
-- ARGV: consumer
-- EACH KEYS: stream
-- EACH ARGV: group
-- REPLIES: left pending
-- INCLUDE: pending

local function item()
  if #pending(stream, group, '-', '+', '1', consumer) > 0 then return 'pending' end
  redis.pcall('XGROUP', 'DELCONSUMER', stream, group, consumer)
  return 'left'
end

return each(item)
