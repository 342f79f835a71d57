-- Close the item's epoch: whatever is said under it from now on is refused.
-- USES: epoch task
local function close_epoch()
  local following = as_text(epoch + 1)
  set_field(epoch_of(task), following)
  return following
end

-- Give the task on under the next epoch: it is pending again, and the caller writes what it waits for.
local function pass_on(id)
  move_task(id, 'pending')
  return close_epoch()
end

local function write_message(stream, message, epoch, alone)
  if alone == '1' then
    redis.call('XADD', stream, '*', 'm', message, 'e', epoch, 'alone', '1')
  else
    redis.call('XADD', stream, '*', 'm', message, 'e', epoch)
  end
end
