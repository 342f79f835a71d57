-- Whether a message is of the latest epoch of its task, in a run that is running and in the message's life. The
-- arguments without a name of their own are what the run's hash holds.
local function is_current(run_state, run_life, life, run_epoch, epoch)
  return run_state == 'running' and (run_life or '1') == life and (run_epoch or '1') == epoch
end

local function is_unended(state) return state == 'running' or state == 'pending' end
