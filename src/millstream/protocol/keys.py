"""The only place that spells a Redis key; docs/architecture.md, "Keys", lists them.

With one partition keys are spelled as documented. With more, each bears a hash tag in front, so that a
partition lives in one Redis Cluster slot and a script, which touches one partition only, may run there.
"""

import binascii
from functools import cache
from typing import Final
from uuid import UUID

from millstream.protocol.references import RunRef
from millstream.states import RunState

SLOTS: Final = 16_384
PARTITIONS: Final = "partitions"  # string: N, stored at first start; the one key outside any partition
SCHEDULERS: Final = "schedulers"  # consumer group of `workflows` and `reports`
RUNNERS: Final = "runners"  # consumer group of `tasks`


def slot(tag: str) -> int:
    """Redis Cluster's slot of a hash tag: CRC16 (XMODEM) modulo 16384, as in the cluster specification."""
    return binascii.crc_hqx(tag.encode(), 0) % SLOTS


@cache
def tags(partitions: int) -> tuple[str, ...]:
    """One hash tag a partition, partition k in slot k·16384/N: the smallest numbers that hash there."""
    wanted = {k * SLOTS // partitions: k for k in range(partitions)}
    found: dict[int, str] = {}
    candidate = 0
    while len(found) < partitions:
        k = wanted.get(slot(str(candidate)))
        if k is not None:
            found.setdefault(k, str(candidate))
        candidate += 1
    return tuple(found[k] for k in range(partitions))


def partition_of(run_id: str, partitions: int) -> int:
    """Which partition a run lives in: its random run_id decides. Raises ValueError when it is not a UUID."""
    return UUID(run_id).int % partitions


class Keys:
    """The keys of one partition. Each name is the one that the scripts' headers use."""

    def __init__(self, partition: int, partitions: int) -> None:
        self.partition = partition
        self._prefix = prefix = f"{{{tags(partitions)[partition]}}}:" if partitions > 1 else ""
        self.workflows = f"{prefix}workflows"  # stream: submissions
        self.tasks = f"{prefix}tasks"  # stream: task messages
        self.reports = f"{prefix}reports"  # stream: what a scheduler must decide
        self.catalog = f"{prefix}catalog"  # hash: task name → description (partition 0 only)
        self.timers = f"{prefix}timers"  # zset: task messages that wait, by due time (ms, Redis's clock)
        self.dead_letters = f"{prefix}dead-letters"  # stream: messages put aside, with the reason
        self.runner_beats = f"{prefix}runners"  # zset: name → last beat (ms, Redis's clock)
        self.runner_about = f"{prefix}runners:about"  # hash: name → what the process is
        self.scheduler_beats = f"{prefix}schedulers"
        self.scheduler_about = f"{prefix}schedulers:about"
        self.api_beats = f"{prefix}apis"
        self.api_about = f"{prefix}apis:about"
        self.formats = f"{prefix}formats"  # zset: name of a process → the newest format that it reads
        self.sweep = (
            f"{prefix}sweep"  # hash: time of the last beat or sweep, until when nobody is declared dead
        )
        self.runs = f"{prefix}runs"  # zset: run_id by time of submission, ms
        for state in RunState:  # zset: run_id by the time it entered the state, ms
            setattr(self, f"runs_{state}", self.runs_in(state))

    def runs_in(self, state: RunState) -> str:
        """Name the zset that lists the runs in a state."""
        return f"{self._prefix}runs:{state}"

    def of(self, run_id: str) -> RunRef:
        """Name the keys of a run, which are made and expire together."""
        record = f"{self._prefix}run:{run_id}"  # hash: see `protocol.record`
        return RunRef(
            run_id=run_id,
            record=record,
            status=f"{self._prefix}workflow:{run_id}",  # hash: task id → status, that and nothing else
            definition=f"{record}:definition",  # string: the canonical stages as JSON
            outcomes=f"{record}:outcomes",  # hash: task number → JSON of its result or error, when there is one
        )
