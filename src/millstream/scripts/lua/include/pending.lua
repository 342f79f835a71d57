-- Pending entries of a range, of one consumer or of any. Without the group (Redis lost its data) nothing is pending.
local function pending(stream, group, first, last, count, ...)
  local rows = redis.pcall('XPENDING', stream, group, first, last, count, ...)
  return rows.err and {} or rows
end
