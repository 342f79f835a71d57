-- Delete a consumer that stops, if nothing is pending for it: deleting it would drop what is.
-- ARGV: consumer
-- EACH KEYS: stream
-- EACH ARGV: group
-- REPLIES: left pending

local function item()
  if #redis.call('XPENDING', stream, group, '-', '+', '1', consumer) > 0 then return 'pending' end
  redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer)
  return 'left'
end

return each(item)
