"""What a runner holds in one partition, and what its next batches will say about it."""

import asyncio
from collections.abc import Callable

import msgspec

from millstream.protocol.calls import Transition
from millstream.protocol.entries import Entry
from millstream.protocol.messages import Delivery
from millstream.protocol.task import FinishTask, HandBack, StartTask
from runner.executor import Outcome
from runner.slots import Slot

Answered = Callable[[str], None]
Key = tuple[str, bytes]


class Held(msgspec.Struct):
    """A message that is held: what it says, if it can be read, and the slot that it keeps until it is executed."""

    delivery: Delivery | None
    slot: Slot | None

    def take_slot(self) -> Slot | None:
        """Take the slot away from the message, for whoever executes it."""
        slot, self.slot = self.slot, None
        return slot


class Work:
    """Messages by stream and entry, from the moment they were read until Redis has answered what became of them."""

    def __init__(self) -> None:
        self.held: dict[Key, Held] = {}
        self.starting: list[Delivery] = []
        self.finished: list[tuple[Delivery, Outcome]] = []
        self.rare: list[tuple[Transition, Answered]] = []
        self.unreported = 0  # executions that have ended and whose reports Redis has not answered
        self._something_to_begin = asyncio.Event()
        self._something_to_tell = asyncio.Event()

    def holds(self, stream: str, entry: bytes) -> bool:
        """Whether an entry is held."""
        return (stream, entry) in self.held

    def hold(self, entry: Entry, delivery: Delivery | None, slot: Slot | None) -> None:
        """Hold an entry; without a delivery nobody can work on it."""
        self.held[entry.key] = Held(delivery, slot)

    def let_go(self, key: Key) -> None:
        """Hold a message no more, nor the slot that it kept."""
        held = self.held.pop(key, None)
        if held is not None and held.slot is not None:
            held.slot.give_back()

    def let_all_go(self) -> None:
        """Hold nothing any more, because the name is lost."""
        for key in list(self.held):
            self.let_go(key)

    def start(self, deliveries: list[Delivery]) -> None:
        """Start messages for which there are slots."""
        self.starting += deliveries
        self._something_to_begin.set()

    def finish(self, delivery: Delivery, outcome: Outcome) -> None:
        """Report an outcome. What is held no more is others' to report."""
        if delivery.key in self.held:
            self.finished.append((delivery, outcome))
            self.unreported += 1
            self._something_to_tell.set()

    def send(self, item: Transition, answered: Answered) -> None:
        """Do something else with a message."""
        self.rare.append((item, answered))
        self._something_to_tell.set()

    async def to_begin(self, most: int) -> list[Delivery]:
        """Take what is to be started; wait until there is something, and no more than `most` wait to be reported.

        An execution gives its slot back before it is reported, so without this nothing would bound what is held.
        """
        while not self.starting or self.unreported > most:
            self._something_to_begin.clear()
            await self._something_to_begin.wait()
        starting, self.starting = self.starting, []
        return starting

    async def to_tell(self) -> tuple[list[tuple[Delivery, Outcome]], list[tuple[Transition, Answered]]]:
        """Take what is to be reported, and what is rare; wait until there is something."""
        while not (self.finished or self.rare):
            self._something_to_tell.clear()
            await self._something_to_tell.wait()
        finished, self.finished = self.finished, []
        rare, self.rare = self.rare, []
        return finished, rare

    def reported(self, delivery: Delivery) -> None:
        """Hear that a report has been answered."""
        self.let_go(delivery.key)
        self.unreported -= 1
        self._something_to_begin.set()


def to_start(delivery: Delivery) -> StartTask:
    """Give the transition that starts a task."""
    return StartTask(of=delivery.ref)


def to_finish(delivery: Delivery, outcome: Outcome) -> FinishTask:
    """Give the transition that reports an outcome."""
    message = delivery.message
    return FinishTask(
        of=delivery.ref,
        outcome=outcome.state,
        detail=outcome.detail,
        last=message.last,
        successor=message.successor(),
    )


def to_hand_back(delivery: Delivery) -> HandBack:
    """Give the transition that gives a task back, uncounted."""
    return HandBack(of=delivery.ref, alone=delivery.alone, message=delivery.packed)
