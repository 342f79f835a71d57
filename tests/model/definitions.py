"""The definitions that are explored, and the project's own planner asked about them."""

from collections.abc import Sequence
from functools import cache
from typing import Any
from unittest.mock import patch

from millstream.workflow import plan as planning
from millstream.workflow.plan import ROOT, SUBMITTED, OpenedTask, Plan, Step, abandon, decide
from model.state import Message, Report
from trees import Stages


def sequential(*entries: Any) -> dict[str, Any]:
    """Write a sequential stage."""
    return {"type": "sequential", "tasks": list(entries)}


def parallel(*entries: Any) -> dict[str, Any]:
    """Write a parallel stage."""
    return {"type": "parallel", "tasks": list(entries)}


SUBMISSION = Report(ROOT, SUBMITTED)
UNREADABLE = (-2, 0)  # the decision about a report that cannot be read: nobody knows for what it asks


class Definition:
    """A definition with its plan; chunk and window are made small, so that decisions have several steps."""

    def __init__(self, stages: Stages, chunk: int = 100, window: int = 16) -> None:
        self.stages = stages
        self.plan = Plan(stages)
        self.ids = [task.id for task in self.plan.tasks]
        self._sizes: dict[str, Any] = {"CHUNK": chunk, "WINDOW": window}
        self.steps = cache(self._steps)

    def _steps(self, report: Report) -> Sequence[Step]:
        """Give what a report asks for, as the scheduler does."""
        with patch.multiple(planning, **self._sizes):
            if report.garbled:
                return abandon(self.plan, "unreadable")
            return decide(self.plan, report.gate, report.at, report.failed)


def decision_of(report: Report) -> tuple[int, int]:
    """Name a report's decision."""
    return UNREADABLE if report.garbled else (report.gate, report.at)


def message_of(opened: OpenedTask) -> Message:
    """Write the message of a task that opens, as `messages.pack_task` does."""
    return Message(
        opened.task.index, following=tuple(task.number for task in opened.following), last=opened.last
    )
