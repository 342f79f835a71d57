-- A message whose item is broken (see broken.lua) becomes a dead letter, whoever holds it.
-- USES: stream entry run_id
local function broken_message(group, problem, id)
  forget_changes()
  local mine = acknowledge(stream, group, entry)
  for _, other in ipairs(acknowledged[stream] or {}) do mine = mine or other == entry end
  if mine then dead_letter(stream, entry, 'it cannot be acted upon: ' .. problem, run_id, id) end
end
