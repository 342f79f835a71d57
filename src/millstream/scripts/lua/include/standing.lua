-- How an item's message stands to its task: `current` when it may act, `newer` when its epoch is one that the record does
-- not know yet (Redis lost the end of its log), else `obsolete`: the run has ended, is gone or in another life, or the
-- epoch is closed. The arguments are what the record holds.
-- USES: life epoch
local function standing(state, run_life, latest)
  if state ~= 'running' or (run_life or '1') ~= life then return 'obsolete' end
  latest = latest or '1'
  if latest == epoch then return 'current' end
  local number = whole(latest)
  if not number then error("the epoch in the run's record is no number: " .. latest) end
  return tonumber(epoch) < number and 'obsolete' or 'newer'
end
