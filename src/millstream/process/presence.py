"""The api among the others: it beats, so that they know that it lives and which format it reads.

It reads no stream, so nothing is taken over from it; a name that was declared dead is simply taken anew.
"""

import asyncio
from collections.abc import Awaitable, Iterable

from millstream.process.lifecycle import Stop, periodically
from millstream.process.membership import Member, Role, api_role
from millstream.redis.channel import Channel
from millstream.store import Store


async def _all(asked: Iterable[Awaitable[None]]) -> None:
    """Ask all partitions, also those after one whose node does not answer. Raises what the first of those raised."""
    for found in await asyncio.gather(*asked, return_exceptions=True):
        if isinstance(found, BaseException):
            raise found


class Presence:
    """One api process in all partitions."""

    def __init__(self, store: Store) -> None:
        self._partitions = [(store.channel(keys), api_role(keys)) for keys in store.partitions]
        self._members: dict[int, Member] = {}
        self._pause = store.settings.lease_seconds / 3

    async def beat(self) -> float:
        """Give a sign of life; gives the seconds until the next. Raises RedisUnavailableError."""
        await _all(self._beat(channel, role) for channel, role in self._partitions)
        return self._pause

    async def _beat(self, channel: Channel, role: Role) -> None:
        member = self._members.get(role.partition)
        if member is None or await channel.exchange_twice([member.beat()]) == ["dead"]:
            self._members[role.partition] = member = Member(role)
            await member.join(channel)

    async def keep(self, stop: Stop) -> None:
        """Beat until asked to stop."""
        await periodically(self.beat, stop, doing="beating", retry_seconds=self._pause / 3, first=self._pause)

    async def leave(self) -> None:
        """Take the names away. Raises RedisUnavailableError."""
        await _all(self._leave(channel, role) for channel, role in self._partitions)

    async def _leave(self, channel: Channel, role: Role) -> None:
        if member := self._members.pop(role.partition, None):
            await member.leave(channel)

    async def close(self) -> None:
        """Close the connections."""
        for channel, _ in self._partitions:
            await channel.close()
