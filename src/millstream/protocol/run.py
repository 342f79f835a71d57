"""Calls about a run as a whole: its beginning and its end."""

from collections.abc import Sequence

from millstream.protocol.calls import Transition
from millstream.protocol.references import RunRef, StepRef


class Submit(Transition):
    """Accept a run: `text` is its canonical definition as JSON, `ids` name its tasks in document order."""

    run: RunRef
    text: bytes
    ids: Sequence[str]


class EndRun(Transition):
    """A decision's last step: the run ends in a state. With a reason, the decision's message becomes a dead letter."""

    at: StepRef
    state: str
    reason: str = ""
