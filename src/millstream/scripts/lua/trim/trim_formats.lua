-- Forget the formats of processes whose names are in no list any more, 100 a call: else a name that was taken away without
-- its format, by a version that did not know of formats, would keep all new runs in the old one.
-- EACH KEYS: formats runner_beats scheduler_beats api_beats
-- EACH ARGV:
-- REPLIES: trimmed more

local function item()
  local left = redis.call('ZDIFF', '4', formats, runner_beats, scheduler_beats, api_beats)
  if #left > 0 then redis.call('ZREM', formats, unpack(left, 1, math.min(#left, 100))) end
  return #left > 100 and 'more' or 'trimmed'
end

return each(item)
