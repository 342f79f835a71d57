"""Runs that have not ended: each must have something pending, and gates that count right."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from millstream.doctor.partition import OPEN_STATES, Partition
from millstream.doctor.tree import Tree, WrongCount
from millstream.errors import UnreadableMessageError
from millstream.protocol.formats import is_newer
from millstream.redis.audit import Examined
from millstream.workflow.plan import Plan, Task, plan_of

AT_ONCE: Final = 20  # runs a call: a run may have ten thousand tasks
NAMED: Final = 5  # tasks of a run that a finding names


async def look_at_runs(p: Partition) -> None:
    """Judge every run that is listed as not ended."""
    for state in OPEN_STATES:
        async for chunk in p.audit.members(p.keys.runs_in(state)):
            await judge_runs(p, [run_id.decode(errors="replace") for run_id, _ in chunk])


async def judge_runs(p: Partition, run_ids: Sequence[str]) -> None:
    """Judge those of these runs that have not ended."""
    for first in range(0, len(run_ids), AT_ONCE):
        for kept in await p.audit.runs(p.keys, run_ids[first : first + AT_ONCE]):
            if kept.damage:
                seen = f"run {kept.run_id}: {kept.damage}"
                p.ledger.find("parts missing", seen, run_id=kept.run_id)
            elif kept.record.state in OPEN_STATES:
                p.ledger.looked("runs")
                if is_newer(kept.record.version):
                    p.ledger.note("runs", "some are of a newer version: not judged")
                else:
                    _judge(p, kept)


def _judge(p: Partition, kept: Examined) -> None:
    evidence = _fingerprint(kept)
    plan = _plan(kept.definition)
    missing = _missing(kept, plan)
    if missing:
        seen = f"run {kept.run_id}: {missing}"
        p.ledger.find("parts missing", seen, evidence, run_id=kept.run_id)
    if kept.run_id in p.deciding:
        return
    tree = Tree(plan, kept.status) if plan and not missing else None
    open_tasks = tree.open_tasks() if tree else []
    if kept.run_id not in p.covered:
        seen = f"run {kept.run_id}, open: {_names(open_tasks)}"
        p.ledger.find("stuck", seen, evidence, run_id=kept.run_id)
    elif tree:
        _messages(p, kept, open_tasks, evidence)
    if tree:
        _counts(p, kept, tree, evidence)


def _messages(p: Partition, kept: Examined, open_tasks: Sequence[Task], evidence: str) -> None:
    life = kept.record.life
    messages = p.messages.get(kept.run_id, {})
    lost = [task for task in open_tasks if messages.get(task.index) != (life, kept.record.epoch(task.index))]
    if lost or not open_tasks:
        seen = f"run {kept.run_id}, open and without a message: {_names(lost)}"
        p.ledger.find("task without message", seen, evidence, run_id=kept.run_id)


def _counts(p: Partition, kept: Examined, tree: Tree, evidence: str) -> None:
    p.ledger.looked("gates", kept.record.gates())
    for wrong in tree.wrong_counts(kept.record):
        about = {"run_id": kept.run_id, "gate": str(wrong.gate.index)}
        p.ledger.find("wrong count", f"run {kept.run_id}: {_described(wrong)}", evidence, **about)


def _described(wrong: WrongCount) -> str:
    first = next(wrong.gate.tasks()).id
    counts = "has no count" if wrong.counted is None else f"waits for {wrong.counted}"
    return f"gate {wrong.gate.index} (parallel, from task {first} on) {counts}; not ended: {wrong.left}"


@lru_cache(maxsize=64)
def _plan(definition: bytes | None) -> Plan | None:
    """Make the plan of a definition; None when it is gone or cannot be read."""
    try:
        return plan_of(definition or b"")
    except UnreadableMessageError:
        return None


def _missing(kept: Examined, plan: Plan | None) -> str:
    if not kept.status:
        return "its status map is gone"
    if kept.definition is None:
        return "its definition is gone"
    if plan is None:
        return "its definition cannot be read"
    absent = [task for task in plan.tasks if task.id.encode() not in kept.status]
    return f"not in its status map: {_names(absent)}" if absent else ""


def _names(tasks: Sequence[Task]) -> str:
    named = ", ".join(task.id for task in tasks[:NAMED])
    more = f" and {len(tasks) - NAMED} more" if len(tasks) > NAMED else ""
    return f"{named}{more}" or "no task"


def _fingerprint(kept: Examined) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in (kept.record.fields, kept.status):
        for item in sorted(part.items()):
            digest.update(repr(item).encode())
    return digest.hexdigest()
