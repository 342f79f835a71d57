"""What one look has learned of one partition so far; the checks share it."""

from dataclasses import dataclass, field

from millstream.doctor.ledger import Ledger
from millstream.protocol.keys import Keys
from millstream.protocol.messages import Delivery
from millstream.protocol.requests import Request
from millstream.redis.audit import Audit
from millstream.settings import Settings
from millstream.states import ENDED_RUN, RunState

OPEN_STATES = tuple(state for state in RunState if state not in ENDED_RUN)


@dataclass(slots=True)
class Partition:
    """A partition under the doctor's eyes.

    `covered` are the runs for which something is pending, `deciding` those for which a scheduler has
    something to decide; `messages` holds, run by run, the newest life and epoch of each task's message.
    """

    audit: Audit
    settings: Settings
    keys: Keys
    ledger: Ledger
    set_up: bool
    now: int = 0
    quiet: bool = False
    schedulers: set[str] = field(default_factory=set)
    runners: set[str] = field(default_factory=set)
    waiting: int = 0
    covered: set[str] = field(default_factory=set)
    deciding: set[str] = field(default_factory=set)
    messages: dict[str, dict[int, tuple[int, int]]] = field(default_factory=dict)

    def cover(self, found: Delivery | Request) -> None:
        """Remember that a task has a message, or a timer that will write one, or that a run has a request."""
        if isinstance(found, Request):
            self.deciding.add(found.run.run_id)
            return
        ref = found.ref
        self.covered.add(found.run_id)
        of_run = self.messages.setdefault(found.run_id, {})
        of_run[ref.task] = max(of_run.get(ref.task, (0, 0)), (ref.life, ref.epoch))
