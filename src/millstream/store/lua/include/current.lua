-- Whether a message still speaks for its task: the run is running, in the message's life, the message's epoch is the
-- latest, and the task has not ended. The arguments without a name of their own are what the hashes hold.
local function is_current(run_state, run_life, life, run_epoch, epoch, state)
  return run_state == 'running' and (run_life or '1') == life and (run_epoch or '1') == epoch
    and (state == 'running' or state == 'pending')
end
