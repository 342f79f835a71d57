-- Write a task message under an epoch; a task at its last chance is marked to be started alone.
local function write_message(message, epoch, alone)
  if alone == '1' then
    redis.call('XADD', tasks, '*', 'm', message, 'e', epoch, 'alone', '1')
  else
    redis.call('XADD', tasks, '*', 'm', message, 'e', epoch)
  end
end
