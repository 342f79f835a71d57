-- The consumers of a group for which nobody beats, also those that never had a beat.
-- EACH KEYS: stream beats
-- EACH ARGV: group
-- REPLIES: <data>

local function item()
  local dead, consumers = {}, redis.pcall('XINFO', 'CONSUMERS', stream, group)
  for _, row in ipairs(consumers.err and {} or consumers) do
    if not redis.call('ZSCORE', beats, row[2]) then dead[#dead + 1] = row[2] end
  end
  return dead
end

return each(item)
