-- Make dead letters of messages that cannot be understood and belong to no known run.
-- KEYS: dead_letters
-- EACH KEYS: stream
-- EACH ARGV: group entry reason
-- REPLIES: done
-- INCLUDE: acknowledge dead_letter

local function item()
  if acknowledge(stream, group, entry) then dead_letter(stream, entry, reason, '', '') end
  return 'done'
end

local replies = each(item)
delete_acknowledged()
return replies
