"""From what is kept of a run to what people see of it."""

import json
from collections.abc import Sequence

from api.schemas import RunView, StageView, TaskView
from millstream.clock import iso
from millstream.states import ENDED_RUN, RunState, TaskState
from millstream.store import RunRecord
from millstream.workflow.plan import Gate, Plan, Task


def run_view(run_id: str, record: RunRecord) -> RunView:
    """Put a run together: the tree of its definition, filled with what was recorded."""
    view = _View(record)
    plan = Plan(json.loads(record.definition))
    stages = [view.stage(child) for child in plan.gates[0].children if isinstance(child, Gate)]
    state = RunState(record.run["state"])
    ended = int(record.run["ended"]) if state in ENDED_RUN else None
    return RunView(
        run_id=run_id,
        state=state,
        life=int(record.run.get("life", 1)),
        created_at=iso(view.created) or "",
        ended_at=iso(ended),
        workflow=stages,
    )


class _View:
    def __init__(self, record: RunRecord) -> None:
        self._record = record
        self.created = int(record.run["created"])

    def stage(self, gate: Gate) -> StageView:
        children = [
            self.stage(child) if isinstance(child, Gate) else self.task(child) for child in gate.children
        ]
        status = stage_status([child.status for child in children])
        return StageView(type=gate.kind, status=status, tasks=children)

    def task(self, task: Task) -> TaskView:
        run, outcome = self._record.run, self._record.outcomes.get(str(task.index))
        detail = json.loads(outcome) if outcome else {}
        view = TaskView(
            id=task.id,
            task=task.name,
            status=TaskState(self._record.status[task.id]),
            attempts=0,
            epoch=int(run.get(f"e{task.index}", 1)),
            error=detail.get("error"),
            result=detail.get("result"),
        )
        if attempt := run.get(f"a{task.index}"):
            _, attempts, started, view.runner, *ended = attempt.split(" ")
            view.attempts = int(attempts)
            view.started_at = iso(self.created + int(started))
            view.ended_at = iso(self.created + int(ended[0])) if ended else None
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
