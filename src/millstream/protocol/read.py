"""Calls that only read."""

from collections.abc import Sequence

from millstream.protocol.calls import Reading
from millstream.protocol.references import RunRef


class ReadStatuses(Reading):
    """Give a run's status map, flat."""

    status: str


class ReadRun(Reading):
    """Give all that is kept of a run at one instant: record, status map, outcomes (each flat), definition."""

    run: RunRef


class ReadDefinition(Reading):
    """Give a run's life (nothing: the first) and its definition."""

    run: RunRef


class ReadCatalog(Reading):
    """Give what the catalog says of some tasks, in order; of all of them, flat, when none is named."""

    catalog: str
    names: Sequence[str]


class ReadDeadConsumers(Reading):
    """Give the names of a group's consumers for which nobody beats."""

    stream: str
    beats: str
    group: str


class ReadPending(Reading):
    """Give entries that are pending for a consumer, oldest first from an id on: pairs of id and fields, flat."""

    stream: str
    group: str
    owner: str
    first: str


class ReadDueTimers(Reading):
    """Give timers that are due, but for so many of them, and in how many ms the next will be (empty: none)."""

    timers: str
    passed: int


class ReadStates(Reading):
    """Tell whether a run exists, and its state."""

    record: str


class ReadPlaces(Reading):
    """Give a run's state, the times to live of its keys in ms, and its scores in the indices below.

    The keys come as record, status, definition, outcomes.
    """

    run: RunRef
    runs: str
    runs_running: str
    runs_success: str
    runs_failed: str
    runs_cancelled: str


class ReadTtl(Reading):
    """Give a key's time to live in ms: -1 when it does not expire, -2 when it does not exist."""

    key: str


class ReadClock(Reading):
    """Give the clock of the server that holds a key, in ms."""

    key: str
