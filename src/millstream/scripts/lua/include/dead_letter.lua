-- Keep a message that nobody will act upon as a dead letter: why, where it was, and its fields as they stood.
local MOST_FIELDS = 100

local function write_dead_letter(stream, entry, fields, reason, run_id, id)
  local letter = {'v', '1', 'reason', reason, 'stream', stream, 'entry', entry}
  if run_id ~= '' then letter[#letter + 1] = 'run' letter[#letter + 1] = run_id end
  if id ~= '' then letter[#letter + 1] = 'task' letter[#letter + 1] = id end
  for n = 1, math.min(#fields, MOST_FIELDS) - 1, 2 do
    letter[#letter + 1] = 'original.' .. fields[n]
    letter[#letter + 1] = fields[n + 1]
  end
  redis.call('XADD', dead_letters, '*', unpack(letter))
end

local function dead_letter(stream, entry, reason, run_id, id)
  local rows = redis.call('XRANGE', stream, entry, entry)
  write_dead_letter(stream, entry, rows[1] and rows[1][2] or {}, reason, run_id, id)
end
