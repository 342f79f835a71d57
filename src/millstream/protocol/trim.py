"""Calls that keep things short, each a bounded part of what there is to forget."""

from millstream.protocol.calls import Transition


class TrimCatalog(Transition):
    """Forget a task that nobody has offered for long."""

    catalog: str
    name: str


class TrimFormats(Transition):
    """Forget the formats of processes that are listed nowhere."""

    formats: str
    runner_beats: str
    scheduler_beats: str
    api_beats: str


class TrimDeadLetters(Transition):
    """Forget old dead letters."""

    dead_letters: str


class TrimRuns(Transition):
    """Forget expired runs in one index of ended runs."""

    ended: str
