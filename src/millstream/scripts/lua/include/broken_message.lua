-- A message whose item is broken (see broken.lua) becomes a dead letter, whoever holds it. The letter comes first: when it
-- cannot be written either, the message stays where it is.
-- USES: stream entry run_id
local function broken_message(group, problem, id)
  forget_changes()
  local rows = redis.call('XRANGE', stream, entry, entry)
  local reason = 'it cannot be acted upon: ' .. problem
  if rows[1] then write_dead_letter(stream, entry, rows[1][2], reason, run_id, id) end
  acknowledge(stream, group, entry)
end
