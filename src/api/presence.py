"""The api among the others: it beats, so that they know that it lives and which format it reads.

It reads no stream, so nothing is taken over from it; a name that was declared dead is simply taken anew.
"""

from millstream.lifecycle import Stop, periodically
from millstream.store.membership import Member, api_role
from millstream.store.store import Store
from millstream.store.upkeep import Beat


class Presence:
    """One api process in all partitions."""

    def __init__(self, store: Store) -> None:
        self._partitions = [(store.channel(keys), api_role(keys)) for keys in store.partitions]
        self._members: dict[int, Member] = {}
        self._pause = store.settings.lease_seconds / 3

    async def beat(self) -> float:
        """Give a sign of life; gives the seconds until the next. Raises RedisUnavailableError."""
        for channel, role in self._partitions:
            member = self._members.get(role.partition)
            if member is None or await channel.exchange_twice([Beat(role.beats, member.name)]) == ["dead"]:
                self._members[role.partition] = member = Member(role)
                await member.join(channel)
        return self._pause

    async def keep(self, stop: Stop) -> None:
        """Beat until asked to stop."""
        await periodically(self.beat, stop, doing="beating", retry_seconds=self._pause / 3, first=self._pause)

    async def leave(self) -> None:
        """Take the names away. Raises RedisUnavailableError."""
        for channel, role in self._partitions:
            if member := self._members.pop(role.partition, None):
                await member.leave(channel)

    async def close(self) -> None:
        """Close the connections."""
        for channel, _ in self._partitions:
            await channel.close()
