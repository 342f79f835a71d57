"""What a scheduler remembers of definitions: enough to be quick, and no more than fits."""

import gc
from typing import Any, cast
from weakref import WeakSet

import orjson
import pytest

from millstream.errors import UnreadableMessageError
from millstream.protocol.keys import Keys
from millstream.protocol.references import FIRST_LIFE, EntryRef, Life
from millstream.protocol.requests import GateCame, Request
from millstream.workflow import plans
from millstream.workflow.plan import Plan
from millstream.workflow.plans import Plans
from scheduler.plans import PlansOfRuns


def definition(name: str, tasks: int = 1) -> bytes:
    return orjson.dumps(
        [{"type": "parallel", "tasks": [{"task": name, "id": f"{name}-{n}"} for n in range(tasks)]}]
    )


def submission(run_id: str, text: bytes | None) -> Request:
    asked = GateCame(0, -1, failed=False, definition=text)
    message = EntryRef(stream="workflows", entry=b"1-0")
    return Request(run=Keys(0, 1).of(run_id), message=message, life=FIRST_LIFE, version=1, asked=asked)


class Kept:
    """The definitions that Redis keeps, and how often each was asked for."""

    def __init__(self, **texts: bytes) -> None:
        self.texts = texts
        self.asked: list[str] = []

    async def definition(self, run_id: str) -> tuple[Life, bytes | None]:
        self.asked.append(run_id)
        return FIRST_LIFE, self.texts.get(run_id)


def opened(kept: Kept) -> PlansOfRuns:
    return PlansOfRuns(cast("Any", kept), Plans())


async def test_runs_of_one_definition_share_a_plan() -> None:
    known = opened(Kept())
    first, second = [await known.of(submission(run, definition("a"))) for run in ("r1", "r2")]
    assert first is second


async def test_a_run_that_is_known_is_not_read_again() -> None:
    kept = Kept(r1=definition("a"))
    known = opened(kept)
    first, second = [await known.of(submission("r1", None)) for _ in range(2)]
    assert first is second
    assert kept.asked == ["r1"]
    known.forget("r1")
    await known.of(submission("r1", None))
    assert kept.asked == ["r1", "r1"]


async def test_a_run_that_is_gone_has_no_plan() -> None:
    assert await opened(Kept()).of(submission("r1", None)) is None


async def test_a_definition_that_cannot_be_read_says_so_and_is_not_kept() -> None:
    known = opened(Kept(r1=b"{"))
    with pytest.raises(UnreadableMessageError):
        await known.of(submission("r1", None))
    assert known.of_damaged(b"{").tasks == []
    assert known.of_damaged(None).tasks == []


async def test_many_runs_of_large_definitions_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "MOST_BYTES", 10 * 100 * plans.BYTES_A_TASK)
    texts = {f"r{n}": definition(f"t{n}", 100) for n in range(50)}
    kept, alive = Kept(**texts), WeakSet[Plan]()
    known = opened(kept)
    for run in texts:
        alive.add(cast("Plan", await known.of(submission(run, None))))
    gc.collect()
    assert sum(len(plan.tasks) for plan in alive) <= 1000
    plan = cast("Plan", await known.of(submission("r0", None)))
    assert [task.spec.name for task in plan.tasks] == ["t0"] * 100, "what was let go is read again"


async def test_one_definition_may_be_larger_than_what_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "MOST_BYTES", 10)
    known = Plans()
    large = known.of(definition("a", 100))
    assert known.of(definition("a", 100)) is large
