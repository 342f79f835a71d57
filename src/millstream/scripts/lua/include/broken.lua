-- An item that raises because of what Redis holds (a damaged record, a key of another type) must not stop the others of
-- its batch, nor the process that sent them. It is answered with `broken` and the reason; a script that acts upon messages
-- says in `when_broken` what becomes of the message then. What Redis cannot do for anybody (no memory, no right, read only)
-- is raised as it is: the whole call is refused, and sent again.
local when_broken

local function is_of_data(problem)
  return problem:find('WRONGTYPE', 1, true)
    or problem:find('^user_script:%d+: ') and not problem:find('^user_script:%d+: Script attempted ')
    or problem:find('is not an? ') and not problem:find('OOM', 1, true)
    or problem:find('Invalid stream ID', 1, true)
end

local function broken(problem)
  problem = type(problem) == 'table' and problem.err or tostring(problem)
  if not is_of_data(problem) then error(problem, 0) end
  problem = problem:gsub('^user_script:%d+: ', '')
  if when_broken then pcall(when_broken, problem) end
  return 'broken ' .. problem
end

-- A number as Redis holds it: `default` when there is none, or what is there is no whole number.
local function whole(text, default)
  if text and #text <= 15 and text:find('^%-?%d+$') then return tonumber(text) end
  return default
end

local function as_text(number) return string.format('%.0f', number) end
