-- What an item changes of its run is collected, and written together at its end.
-- USES: record status
local moved, n_moved, set, n_set = {}, 0, {}, 0

local function move_task(id, to)
  moved[n_moved + 1], moved[n_moved + 2] = id, to
  n_moved = n_moved + 2
end

local function set_field(name, value)
  set[n_set + 1], set[n_set + 2] = name, value
  n_set = n_set + 2
end

local function forget_changes() n_moved, n_set = 0, 0 end

local function write_changes()
  if n_moved > 0 then redis.call('HSET', status, unpack(moved, 1, n_moved)) end
  if n_set > 0 then redis.call('HSET', record, unpack(set, 1, n_set)) end
  forget_changes()
end
