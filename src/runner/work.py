"""What a runner holds in one partition, and what its next batches will say about it."""

import asyncio
from collections.abc import Callable

from millstream.protocol.keys import Keys
from millstream.protocol.messages import TaskMessage
from millstream.protocol.transitions import FinishTask, HandBack, StartTask, Transition
from runner.executor import Outcome

Answered = Callable[[str], None]


class Work:
    """Messages by entry, from the moment they were read until Redis has answered what became of them."""

    def __init__(self, keys: Keys) -> None:
        self.held: dict[bytes, TaskMessage | None] = {}  # None: nobody can work on it
        self.starting: list[TaskMessage] = []
        self.finished: list[tuple[TaskMessage, Outcome]] = []
        self.rare: list[tuple[Transition, Answered]] = []
        self.unreported = 0  # executions that have ended and whose reports Redis has not answered
        self._something_to_begin = asyncio.Event()
        self._something_to_tell = asyncio.Event()
        self._keys = keys

    def holds(self, _stream: str, entry: bytes) -> bool:
        """Whether an entry is held."""
        return entry in self.held

    def start(self, messages: list[TaskMessage]) -> None:
        """Start messages for which there are slots."""
        self.starting += messages
        self._something_to_begin.set()

    def finish(self, message: TaskMessage, outcome: Outcome) -> None:
        """Report an outcome. What is held no more is others' to report."""
        if message.entry in self.held:
            self.finished.append((message, outcome))
            self.unreported += 1
            self._something_to_tell.set()

    def settle(self, item: Transition, answered: Answered) -> None:
        """Do something else with a message."""
        self.rare.append((item, answered))
        self._something_to_tell.set()

    def let_go(self, entry: bytes) -> None:
        """Hold a message no more."""
        self.held.pop(entry, None)

    async def to_begin(self, most: int) -> list[TaskMessage]:
        """Take what is to be started; wait until there is something, and no more than `most` wait to be reported.

        An execution gives its slot back before it is reported, so without this nothing would bound what is held.
        """
        while not self.starting or self.unreported > most:
            self._something_to_begin.clear()
            await self._something_to_begin.wait()
        starting, self.starting = self.starting, []
        return starting

    async def to_tell(self) -> tuple[list[tuple[TaskMessage, Outcome]], list[tuple[Transition, Answered]]]:
        """Take what is to be reported, and what is rare; wait until there is something."""
        while not (self.finished or self.rare):
            self._something_to_tell.clear()
            await self._something_to_tell.wait()
        finished, self.finished = self.finished, []
        rare, self.rare = self.rare, []
        return finished, rare

    def reported(self, message: TaskMessage) -> None:
        """Hear that a report has been answered."""
        del self.held[message.entry]
        self.unreported -= 1
        self._something_to_begin.set()

    def to_start(self, m: TaskMessage) -> StartTask:
        """Give the transition that starts a task."""
        status, run = self._keys.status(m.run_id), self._keys.run(m.run_id)
        return StartTask(status, run, m.entry, m.life, m.epoch, m.task, m.id)

    def to_finish(self, m: TaskMessage, outcome: Outcome) -> FinishTask:
        """Give the transition that reports an outcome."""
        keys, run_id = self._keys, m.run_id
        return FinishTask(
            keys.status(run_id), keys.run(run_id), keys.definition(run_id), keys.outcomes(run_id),
            m.entry, run_id, m.life, m.epoch, m.task, m.id, outcome.state, outcome.detail,
            m.gate, m.at, m.counts, m.last, m.successor(),
        )  # fmt: skip

    def to_hand_back(self, m: TaskMessage) -> HandBack:
        """Give the transition that gives a task back, uncounted."""
        status, run = self._keys.status(m.run_id), self._keys.run(m.run_id)
        return HandBack(status, run, m.entry, m.life, m.epoch, m.task, m.id, m.alone, m.packed)
