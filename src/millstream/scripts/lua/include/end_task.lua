-- End the item's task: its status, what is kept of its outcome, and its gate's count. Answers whether the gate is empty
-- now (one that is not counted always is) and whether it has failed. The last four arguments are what the record holds.
-- USES: outcomes task id gate counts
local function end_task(to, detail, left, failed_before, kept, wide)
  local failed = to ~= 'success'
  move_task(id, to)
  if detail ~= '' then
    if not kept then set_field(KEPT, '1') end
    if wide and not kept then redis.call('HSET', outcomes, task, wide) end -- makes a table of it, as submit.lua says
    redis.call('HSET', outcomes, task, detail)
  end
  if counts == '1' then return count_child(gate, left, failed_before, failed) end
  return true, failed
end

-- What is kept of a task that the engine ends as failed.
local function error_of(kind, reason)
  return cjson.encode({error = {type = kind, message = reason, traceback = ''}})
end
