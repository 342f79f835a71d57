-- Write what a runner offers into the catalog. `text`: a JSON object without its closing brace.
-- EACH KEYS: catalog
-- EACH ARGV: name text
-- REPLIES: offered
-- INCLUDE: time

local function item()
  redis.call('HSET', catalog, name, text .. ',"offered":' .. now_text .. '}')
  return 'offered'
end

return each(item)
