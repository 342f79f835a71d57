-- A task ends with an attempt's record that has an end, or else its run is marked `apart`. So whoever has the record needs
-- no look at the task's status before acting, unless the run is marked (1.5 to 2 microseconds a look, twice a task; the
-- model explores that it is enough). Marked are runs in which a task was ended without an execution, or apart from its
-- message, which may still wait in the stream.
local function end_apart(run) redis.call('HSET', run, 'apart', '1') end

local function ended_apart(apart, status, id)
  return apart and not is_unended(redis.call('HGET', status, id))
end
