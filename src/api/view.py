"""From what is kept of a run to what people see of it."""

import json
from collections.abc import Sequence

from api.schemas import RunView, StageView, TaskView
from millstream.clock import iso
from millstream.states import ENDED_RUN, RunState, TaskState
from millstream.store import KeptRun
from millstream.workflow.plan import Gate, Task, plan_of


def run_view(run_id: str, kept: KeptRun) -> RunView:
    """Put a run together: the tree of its definition, filled with what was recorded.

    Raises UnreadableMessageError when the definition cannot be read.
    """
    view, record = _View(kept), kept.record
    plan = plan_of(kept.definition)
    stages = [view.stage(child) for child in plan.gates[0].children if isinstance(child, Gate)]
    state = RunState(record.state)
    return RunView(
        run_id=run_id,
        state=state,
        life=record.life,
        created_at=iso(record.created) or "",
        ended_at=iso(record.ended) if state in ENDED_RUN else None,
        workflow=stages,
    )


class _View:
    def __init__(self, kept: KeptRun) -> None:
        self._kept = kept

    def stage(self, gate: Gate) -> StageView:
        children = [
            self.stage(child) if isinstance(child, Gate) else self.task(child) for child in gate.children
        ]
        status = stage_status([child.status for child in children])
        return StageView(type=gate.kind, status=status, tasks=children)

    def task(self, task: Task) -> TaskView:
        record, outcome = self._kept.record, self._kept.outcomes.get(str(task.index))
        detail = json.loads(outcome) if outcome else {}
        view = TaskView(
            id=task.id,
            task=task.spec.name,
            status=TaskState(self._kept.status[task.id]),
            attempts=0,
            epoch=record.epoch(task.index),
            error=detail.get("error"),
            result=detail.get("result"),
        )
        if attempt := record.attempt(task.index):
            view.attempts, view.runner = attempt.number, attempt.runner
            view.started_at = iso(record.created + attempt.started)
            view.ended_at = None if attempt.ended is None else iso(record.created + attempt.ended)
        return view


def stage_status(children: Sequence[TaskState]) -> TaskState:
    """Derive a stage's status from its children's: what is under way first, then the worst."""
    seen = set(children)
    if len(seen) == 1:
        return children[0]
    if TaskState.RUNNING in seen:
        return TaskState.RUNNING
    if TaskState.PENDING in seen:
        return TaskState.RUNNING if seen & {TaskState.SUCCESS, TaskState.FAILED} else TaskState.PENDING
    for worst in (TaskState.FAILED, TaskState.CANCELLED, TaskState.SKIPPED):
        if worst in seen:
            return worst
    return TaskState.SUCCESS
