-- The licence of a scheduler's step: its message is still pending, the run is in the same life, and the
-- decision has come exactly as far as the step says. Answers nil to go ahead, else the reply to give.
-- A final step's licence is the acknowledgement itself, so it is asked last, after all validation.
-- Answers besides whether tasks were ended apart from their messages (see apart.lua).
local function refuse(run, stream, entry, life, decision, step, final)
  local found = redis.call('HMGET', run, 'state', 'life', 'p' .. decision, 'apart')
  if found[1] ~= 'running' or (found[2] or '1') ~= life then
    acknowledge(stream, schedulers, entry)
    return 'done'
  end
  local progress = found[3] or '0'
  if progress ~= step or final ~= '1' then
    if #pending(stream, schedulers, entry, entry, '1') == 0 then return 'done' end
    if progress ~= step then return progress end
    return nil, found[4]
  end
  if not acknowledge(stream, schedulers, entry) then return 'done' end
  return nil, found[4]
end

-- Note that the step is taken; answers the step that comes next, or that the decision is complete.
local function advance(run, decision, step, final)
  if final == '1' then
    if step ~= '0' then redis.call('HDEL', run, 'p' .. decision) end
    return 'done'
  end
  local reached = string.format('%.0f', step + 1)
  redis.call('HSET', run, 'p' .. decision, reached)
  return reached
end
