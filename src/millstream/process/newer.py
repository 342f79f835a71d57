"""Messages that a newer version wrote: kept for a moment, so that a process of that version may read them, then given back."""

import asyncio
from collections.abc import Callable
from typing import Final

from millstream.process.membership import Member
from millstream.protocol.entries import NEWER_SECONDS, Entry
from millstream.protocol.message import Requeue
from millstream.protocol.references import EntryRef

MOST: Final = 10_000  # kept at a time: so many a second are passed by, and they never fill a process's memory


class NewerMessages:
    """Keeps what this version cannot read yet, for a second each; whoever reads decides what to do beyond `MOST`."""

    def __init__(self, member: Member, give_back: Callable[[Entry, Requeue], None]) -> None:
        """`give_back` is called with each entry when its moment is over, and the call that writes it anew."""
        self._member = member
        self._give_back = give_back
        self._kept: dict[tuple[str, bytes], tuple[Entry, asyncio.TimerHandle]] = {}
        self._loop = asyncio.get_running_loop()

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: tuple[str, bytes]) -> bool:
        return key in self._kept

    @property
    def is_full(self) -> bool:
        """Whether no more should be read for now."""
        return len(self._kept) >= MOST

    def keep(self, entry: Entry) -> None:
        """Keep an entry for a moment."""
        timer = self._loop.call_later(NEWER_SECONDS, self._over, entry)
        self._kept[entry.key] = entry, timer

    def _over(self, entry: Entry) -> None:
        del self._kept[entry.key]
        role = self._member.role
        message = EntryRef(stream=entry.stream, entry=entry.id)
        item = Requeue(message=message, beats=role.beats, group=role.group, owner=self._member.name)
        self._give_back(entry, item)

    def flush(self) -> None:
        """Give all of them back now, because the process stops."""
        for entry, timer in list(self._kept.values()):
            timer.cancel()
            self._over(entry)

    def drop(self) -> None:
        """Let go of all of them, because the name is lost: they are others' now."""
        for _, timer in self._kept.values():
            timer.cancel()
        self._kept.clear()
