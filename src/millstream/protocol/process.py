"""Calls about processes: who is there, who is dead, and what they offer."""

from millstream.protocol.calls import Transition
from millstream.protocol.references import ProcessRef


class Join(Transition):
    """Enter a process under a new name; `text` is JSON that says what it is."""

    process: ProcessRef
    text: bytes


class Beat(Transition):
    """Give a sign of life."""

    process: ProcessRef


class Leave(Transition):
    """Take a process's name away."""

    process: ProcessRef


class LeaveGroup(Transition):
    """Delete the consumer of a process that has left or is dead, if nothing is pending for it."""

    process: ProcessRef
    stream: str
    group: str


class DeclareDead(Transition):
    """Take the names away of processes that have not beaten for a lease."""

    beats: str
    about: str


class OfferTask(Transition):
    """Write a task into the catalog."""

    catalog: str
    name: str
    text: bytes
