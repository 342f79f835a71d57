-- Acknowledge entries one by one, because each XACK decides who may act, and delete them together at the end.
local acknowledged = {}

local function acknowledge(stream, group, entry)
  if redis.call('XACK', stream, group, entry) == 0 then return false end
  local entries = acknowledged[stream]
  if entries then entries[#entries + 1] = entry else acknowledged[stream] = {entry} end
  return true
end

local function delete_acknowledged()
  for stream, entries in pairs(acknowledged) do redis.call('XDEL', stream, unpack(entries)) end
end
