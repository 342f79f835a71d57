-- Accept a run: its status map, its record, its definition, its entry in `workflows`, its place in the indices.
-- Accepted while the streams are below the backlog limit and Redis below 80 % of its maxmemory; else nothing is
-- written. The same run_id again gets the same answer.
-- KEYS: workflows tasks runs runs_running formats
-- ARGV: max_backlog oldest newest
-- EACH KEYS: status run definition
-- EACH ARGV: run_id text ids*
-- REPLIES: accepted backlog memory
-- INCLUDE: time
local SLICE = 2000
-- Redis looks a field of a small hash up from its beginning, so 100 tasks cost twice as much a task as ten do. One long
-- value makes a hash table of it, until Redis loads its data anew; beyond WIDE tasks that is cheaper, though it takes more memory.
local WIDE, LONG = 32, string.rep('.', 65)
local waiting = redis.call('XLEN', workflows) + redis.call('XLEN', tasks)
local memory = redis.call('INFO', 'memory')
local limit = tonumber(memory:match('\nmaxmemory:(%d+)'))
local full = limit > 0 and tonumber(memory:match('used_memory:(%d+)')) > limit * 0.8
local indexed = {}
-- The run's format, for all that is ever written for it: the newest that the caller and every live process read.
local lowest = redis.call('ZRANGE', formats, '0', '0', 'WITHSCORES')[2]
local version = string.format('%.0f', math.max(oldest, math.min(newest, lowest or newest)))

local function item()
  if full or waiting >= tonumber(max_backlog) then
    return redis.call('EXISTS', run) == 1 and 'accepted' or full and 'memory' or 'backlog'
  end
  if not redis.call('SET', definition, text, 'NX') then return 'accepted' end
  waiting = waiting + 1
  if #ids > WIDE then
    redis.call('HSET', status, ids[1], LONG)
    redis.call('HSET', run, 'wide', LONG)
  end
  local fields = {}
  for n = 1, #ids do
    fields[#fields + 1] = ids[n]
    fields[#fields + 1] = 'pending'
    if #fields == SLICE or n == #ids then
      redis.call('HSET', status, unpack(fields))
      fields = {}
    end
  end
  redis.call('HSET', run, 'v', version, 'state', 'running', 'created', now_text)
  redis.call('XADD', workflows, '*', 'v', version, 'run', run_id, 'definition', text)
  indexed[#indexed + 1] = now_text
  indexed[#indexed + 1] = run_id
  return 'accepted'
end

local replies = each(item)
if #indexed > 0 then
  redis.call('ZADD', runs, unpack(indexed))
  redis.call('ZADD', runs_running, unpack(indexed))
end
return replies
