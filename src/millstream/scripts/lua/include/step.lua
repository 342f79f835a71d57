-- Whether a scheduler's step may be taken: its message is still pending, the run is in the same life, and the decision has
-- come exactly as far as the step says. Answers nil to go ahead, else the reply to give; besides, whether outcomes are
-- kept. For a final step the acknowledgement itself decides, so it comes last, after all validation. In a run that is
-- held a step that would start something is left where it is.
-- USES: record stream entry life decision step final
local function check_step(starts)
  local found = redis.call('HMGET', record, STATE, LIFE, HELD, progress_of(decision), KEPT)
  if found[1] ~= 'running' or (found[2] or '1') ~= life then
    acknowledge(stream, schedulers, entry)
    return 'done'
  end
  local progress = whole(found[4] or '0')
  if not progress then error('how far its decision has come is no number: ' .. found[4]) end
  local held, elsewhere = starts and found[3], progress ~= tonumber(step)
  if elsewhere or final ~= '1' or held then
    if #pending(stream, schedulers, entry, entry, '1') == 0 then return 'done' end
    if elsewhere then return as_text(progress) end
    return held and 'held' or nil, found[5]
  end
  if not acknowledge(stream, schedulers, entry) then return 'done' end
  return nil, found[5]
end

-- Record that the step is taken; answers the step that comes next, or that the decision is complete.
local function step_taken()
  local reached = 'done'
  if final ~= '1' then
    reached = as_text(step + 1)
    set_field(progress_of(decision), reached)
  elseif step ~= '0' then
    redis.call('HDEL', record, progress_of(decision))
  end
  write_changes()
  return reached
end
