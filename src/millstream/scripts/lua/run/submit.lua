-- Accept a run: its status map, its record, its definition, its entry in `workflows`, its place in the indices.
-- Accepted while the streams are below the backlog limit and Redis below 80 % of its maxmemory; else nothing is
-- written. The same run_id again gets the same answer.
-- KEYS: workflows tasks runs runs_running formats
-- ARGV: max_backlog oldest newest
-- EACH KEYS: record status definition
-- EACH ARGV: run_id text ids*
-- REPLIES: accepted backlog memory
-- INCLUDE: time record
local SLICE = 2000
-- Redis looks a field of a small hash up from its beginning, so 100 tasks cost twice as much a task as ten do. One long
-- value makes a hash table of it, until Redis loads its data anew; beyond WIDE_FROM tasks that is cheaper, though it takes
-- more memory.
local WIDE_FROM, LONG = 32, string.rep('.', 65)
local waiting, full, version
local indexed = {}

-- Once a call: how much waits, whether memory is short, and the run's format, for all that is ever written for it: the
-- newest that the caller and every live process read.
local function look()
  local memory = redis.call('INFO', 'memory')
  local limit = tonumber(memory:match('\nmaxmemory:(%d+)'))
  full = limit > 0 and tonumber(memory:match('used_memory:(%d+)')) > limit * 0.8
  local lowest = redis.call('ZRANGE', formats, '0', '0', 'WITHSCORES')[2]
  version = as_text(math.max(oldest, math.min(newest, lowest or newest)))
  waiting = redis.call('XLEN', workflows) + redis.call('XLEN', tasks)
end

local function item()
  if not waiting then look() end
  if full or waiting >= tonumber(max_backlog) then
    return redis.call('EXISTS', record) == 1 and 'accepted' or full and 'memory' or 'backlog'
  end
  if not redis.call('SET', definition, text, 'NX') then return 'accepted' end
  waiting = waiting + 1
  if #ids > WIDE_FROM then
    redis.call('HSET', status, ids[1], LONG)
    redis.call('HSET', record, WIDE, LONG)
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
  redis.call('HSET', record, VERSION, version, STATE, 'running', CREATED, now_text)
  redis.call('XADD', workflows, '*', 'v', version, 'kind', 'submission', 'run', run_id, 'definition', text)
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
