-- The clock of the server that holds a key, in milliseconds.
-- EACH KEYS: key
-- EACH ARGV:
-- REPLIES: <data>
-- INCLUDE: time

local function item() return now end

return each(item)
