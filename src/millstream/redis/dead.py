"""What schedulers look for: consumers whose process is dead, what is pending for them, timers that are due."""

from typing import Final, NamedTuple

from millstream.process.membership import Role
from millstream.protocol.keys import Keys
from millstream.redis.query import Query
from millstream.redis.reader import Entry
from millstream.store import Store

CHUNK: Final = 100
_DEAD: Final = """
local dead = {}
for n = 2, #KEYS do
  local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[n], ARGV[1])
  for _, row in ipairs(consumers.err and {} or consumers) do
    if not redis.call('ZSCORE', KEYS[1], row[2]) then dead[#dead + 1] = {KEYS[n], row[2]} end
  end
end
return dead
"""
_PENDING: Final = """
local found = {}
local rows = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[4], '+', ARGV[3], ARGV[2])
for n, row in ipairs(rows.err and {} or rows) do
  local entries = redis.call('XRANGE', KEYS[1], row[1], row[1])
  found[n] = {row[1], entries[1] and entries[1][2] or {}}
end
return found
"""
_DUE: Final = """
if redis.call('EXISTS', KEYS[1]) == 0 then return {{}, ''} end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', ARGV[2], ARGV[1])
local following = redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf', 'WITHSCORES', 'LIMIT', '0', '1')
return {due, following[2] and string.format('%.0f', following[2] - now) or ''}
"""


class DeadConsumer(NamedTuple):
    """A consumer of a stream whose name nobody beats for."""

    stream: str
    name: str


class Lookout:
    """Looks at one partition again and again. Not for concurrent use: each loop has its own."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._timers = keys.timers
        self._query = Query(store.connector, keys.tasks)

    async def dead_consumers(self, role: Role) -> list[DeadConsumer]:
        """Every consumer of a role without a live beat, also one that never had any. Raises RedisUnavailableError."""
        if not role.streams:
            return []
        found = await self._query.ask(_DEAD, (role.beats, *role.streams), role.group)
        return [DeadConsumer(stream.decode(), name.decode()) for stream, name in found]

    async def pending_entries(self, stream: str, group: str, name: str, first: str = "-") -> list[Entry]:
        """Up to 100 entries that are pending for a consumer, oldest first, from `first` on.

        Raises RedisUnavailableError.
        """
        found = await self._query.ask(_PENDING, (stream,), group, name, CHUNK, first)
        return [Entry(stream, entry, fields) for entry, fields in found]

    async def due_timers(self, after: int = 0) -> tuple[list[bytes], float | None]:
        """Up to 100 timers that are due, and in how many seconds the next will be; None when there is no other.

        The first `after` of those that are due are left out. Raises RedisUnavailableError.
        """
        due, following = await self._query.ask(_DUE, (self._timers,), CHUNK, after)
        return due, int(following) / 1000 if following else None

    async def close(self) -> None:
        """Drop the connection."""
        await self._query.close()
