-- Forget tasks that no runner has offered for long.
-- ARGV: catalog_ms
-- EACH KEYS: catalog
-- EACH ARGV: name
-- REPLIES: kept dropped
-- INCLUDE: time

local function item()
  local entry = redis.call('HGET', catalog, name)
  local offered = whole(entry and entry:match('"offered":(%d+)}$'), 0)
  if now - offered <= tonumber(catalog_ms) then return 'kept' end
  redis.call('HDEL', catalog, name)
  return 'dropped'
end

return each(item)
