-- The last attempt of a task, as the run's record holds it: `epoch number started runner`, and ` ended` at its end. Both
-- times are milliseconds after the run's creation, and never below 0: Redis's clock may step back. What cannot be read
-- is no attempt.
-- USES: epoch
local function parse_attempt(text)
  if not text then return nil end
  local of, number, started, runner, ended = text:match('^(%S+) (%S+) (%S+) (%S+) ?(%S*)$')
  return of, whole(number, 0), started, runner, ended ~= nil and ended ~= ''
end

-- Whether an attempt has begun under the item's epoch, whether that one has ended, and the number of the last attempt.
local function last_attempt(text)
  local of, number, _, _, ended = parse_attempt(text)
  local begun = of == epoch
  return begun, begun and ended, number or 0
end

local function since(created) return as_text(math.max(0, now - whole(created, now))) end
