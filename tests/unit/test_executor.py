import asyncio
import contextvars
import json
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from millstream.states import TaskState
from millstream.tasks import Registry
from runner.executor import MAX_DETAIL_BYTES, MAX_TEXT, Executor, Outcome, failure
from runner.slots import Slots

Function = Callable[[], Any]


def both(function: Function) -> list[Function]:
    """The same body as a plain task and as an async one."""

    async def in_the_loop() -> Any:
        return function()

    return [function, in_the_loop]


def kinds(function: Function) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("function", both(function), ids=["plain", "async"])


def raising(error: BaseException) -> Function:
    def function() -> None:
        raise error

    return function


class Harness:
    """An executor with its tasks."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.executor = Executor(self.registry, 20)

    async def outcome(self, function: Function, is_ending: Callable[[], bool] = bool) -> Outcome:
        self.registry.add(function, "job")
        return await self.executor.execute("job", is_ending)

    async def error(self, function: Function) -> dict[str, str]:
        outcome = await self.outcome(function)
        assert outcome.state is TaskState.FAILED
        error: dict[str, str] = json.loads(outcome.detail)["error"]
        assert set(error) == {"type", "message", "traceback"}
        assert "".join(error.values()).encode()  # what cannot be UTF-8 cannot be answered over HTTP
        return error


@pytest.fixture
def harness() -> Iterator[Harness]:
    made = Harness()
    yield made
    made.executor.close()


@kinds(lambda: None)
async def test_a_task_that_returns_nothing_succeeds_without_detail(
    harness: Harness, function: Function
) -> None:
    assert await harness.outcome(function) == Outcome(TaskState.SUCCESS)


@kinds(lambda: {"pages": [1, 2.5, None, "ä"], "more": True})
async def test_what_a_task_returns_is_kept_as_json(harness: Harness, function: Function) -> None:
    outcome = await harness.outcome(function)
    assert outcome.state is TaskState.SUCCESS
    assert json.loads(outcome.detail) == {"result": {"pages": [1, 2.5, None, "ä"], "more": True}}


@pytest.mark.parametrize("value", [0, False, "", [], {}])
async def test_a_result_that_is_false_is_a_result(harness: Harness, value: Any) -> None:
    assert json.loads((await harness.outcome(lambda: value)).detail) == {"result": value}


@kinds(raising(ValueError("too\nbad: ä")))
async def test_a_task_fails_by_raising(harness: Harness, function: Function) -> None:
    error = await harness.error(function)
    assert (error["type"], error["message"]) == ("ValueError", "too\nbad: ä")
    assert error["traceback"].startswith("Traceback (most recent call last):")
    assert "raise error" in error["traceback"]


async def test_the_cause_of_an_error_is_in_its_traceback(harness: Harness) -> None:
    def function() -> None:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise RuntimeError("outer") from inner

    error = await harness.error(function)
    assert error["type"] == "RuntimeError"
    assert "KeyError: 'inner'" in error["traceback"]


async def test_a_long_error_is_cut(harness: Harness) -> None:
    error = await harness.error(raising(ValueError("x" * 10 * MAX_TEXT)))
    assert error["message"] == "x" * MAX_TEXT
    assert len(error["traceback"]) <= MAX_TEXT


async def test_an_endless_recursion_is_an_ordinary_failure(harness: Harness) -> None:
    def function() -> None:
        function()

    assert (await harness.error(function))["type"] == "RecursionError"


def endless() -> list[Any]:
    inside: list[Any] = []
    inside.append(inside)
    return inside


def deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


class Secretive(dict[str, str]):
    """A dictionary that does not give its items."""

    def items(self) -> Any:
        raise RuntimeError("no items for you")


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, b"bytes", float("nan"), [float("-inf")], {(1, 2): 3}, "\ud800", {"\ud800": 1}, 10**5000, endless(), deep()],
    ids=["object", "set", "bytes", "nan", "infinity", "key", "surrogate", "surrogate key", "huge", "endless", "deep"],
)  # fmt: skip
async def test_a_result_that_is_not_json_is_a_failure(harness: Harness, value: Any) -> None:
    error = await harness.error(lambda: value)
    assert error["type"] == "ResultError"
    assert error["message"].startswith("the task returned something that is not JSON: ")


async def test_a_result_that_raises_while_it_is_read_is_a_failure(harness: Harness) -> None:
    assert "no items for you" in (await harness.error(lambda: Secretive(a="b")))["message"]


async def test_a_result_as_large_as_allowed_is_kept_and_a_larger_one_is_a_failure(harness: Harness) -> None:
    most = MAX_DETAIL_BYTES - len('{"result": ""}')
    assert len((await harness.outcome(lambda: "x" * most)).detail) == MAX_DETAIL_BYTES
    error = await harness.error(lambda: "x" * (most + 1))
    assert (
        error["message"]
        == f"the result is {MAX_DETAIL_BYTES + 1} bytes of JSON; {MAX_DETAIL_BYTES} are allowed"
    )


@kinds(lambda: sys.exit(3))
async def test_a_task_that_exits_does_not_end_the_runner(harness: Harness, function: Function) -> None:
    error = await harness.error(function)
    assert (error["type"], error["message"]) == ("SystemExit", "3")


@pytest.mark.parametrize(
    "raised", [KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, StopAsyncIteration]
)
@pytest.mark.parametrize("kind", [0, 1], ids=["plain", "async"])
async def test_whatever_a_task_raises_is_its_failure(
    harness: Harness, raised: type[BaseException], kind: int
) -> None:
    assert (await harness.error(both(raising(raised("mine")))[kind]))["type"] == raised.__name__


async def test_a_stop_iteration_crosses_a_threads_border(harness: Harness) -> None:
    assert (await harness.error(raising(StopIteration("mine"))))["type"] == "StopIteration"


async def test_a_stop_iteration_in_a_coroutine_is_a_failure(harness: Harness) -> None:
    assert "StopIteration" in (await harness.error(both(raising(StopIteration()))[1]))["message"]


async def test_an_exception_group_is_a_failure_that_shows_its_parts(harness: Harness) -> None:
    async def function() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(both(raising(ValueError("part")))[1]())

    error = await harness.error(function)
    assert error["type"] == "ExceptionGroup"
    assert "ValueError: part" in error["traceback"]


async def test_a_timeout_of_the_tasks_own_is_its_failure(harness: Harness) -> None:
    async def function() -> None:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

    assert (await harness.error(function))["type"] == "TimeoutError"


async def test_a_cancellation_from_outside_gets_out_once_the_runner_ends(harness: Harness) -> None:
    began = asyncio.Event()

    async def function() -> None:
        began.set()
        await asyncio.Event().wait()

    executing = asyncio.create_task(harness.outcome(function, lambda: True))
    await began.wait()
    executing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await executing


class BrokenError(Exception):
    """An error whose message cannot be written."""

    def __init__(self, inner: BaseException) -> None:
        self.inner = inner

    def __str__(self) -> str:
        raise self.inner


def written(error: BaseException) -> dict[str, str]:
    """Write an error; what gets out of that would end the test run, so it is only told."""
    got_out = ""
    try:
        detail = failure(error).detail
    except BaseException as other:
        got_out = repr(other)
    assert got_out == ""
    found: dict[str, str] = json.loads(detail)["error"]
    return found


@pytest.mark.parametrize(
    "inner",
    [
        RuntimeError("no"),
        *(pytest.param(e) for e in (SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError())),
    ],
    ids=repr,
)
def test_an_error_that_cannot_be_written_is_still_a_failure(inner: BaseException) -> None:
    error = written(BrokenError(inner))
    assert error["type"] == "BrokenError"
    assert type(inner).__name__ in error["message"]


@kinds(raising(BrokenError(RuntimeError("no"))))
async def test_a_task_may_raise_an_error_that_cannot_be_written(harness: Harness, function: Function) -> None:
    assert "RuntimeError" in (await harness.error(function))["message"]


async def test_an_error_with_lone_surrogates_can_still_be_answered(harness: Harness) -> None:
    error = await harness.error(raising(ValueError("\ud800")))
    assert error["message"] == "\\ud800"


@pytest.mark.parametrize(
    "error",
    [
        SyntaxError("m", ("f", 1, "x", "text", 1, "y")),  # type: ignore[arg-type]
        SyntaxError("m", ("f", "a", "b", 5)),  # type: ignore[arg-type]
    ],
    ids=["offset", "text"],
)
def test_an_error_whose_traceback_cannot_be_written_is_still_a_failure(error: SyntaxError) -> None:
    assert written(error)["type"] == "SyntaxError"


def test_an_error_that_was_never_raised_can_be_written() -> None:
    assert json.loads(failure(ValueError("x")).detail)["error"]["message"] == "x"


async def test_twenty_plain_tasks_run_at_the_same_time(harness: Harness) -> None:
    barrier = threading.Barrier(20, timeout=30)
    harness.registry.add(lambda: barrier.wait() < 0, "meet")
    outcomes = await asyncio.gather(*(harness.executor.execute("meet", bool) for _ in range(20)))
    assert [outcome.state for outcome in outcomes] == [TaskState.SUCCESS] * 20


SEEN: contextvars.ContextVar[str] = contextvars.ContextVar("SEEN", default="clean")


class Bench:
    """One slot, on which tasks run one after another."""

    def __init__(self, executor: Executor, size: int = 1) -> None:
        self._executor = executor
        self._outcomes: asyncio.Queue[Outcome] = asyncio.Queue()
        self.slots: Slots[str] = Slots(size, self._run)

    async def _run(self, name: str) -> None:
        self._outcomes.put_nowait(await self._executor.execute(name, bool))

    async def run(self, *names: str) -> list[Any]:
        with self.slots.take_none() as debt:
            for name in names:
                self.slots.put(self, name, debt.use())
        async with asyncio.timeout(10):
            outcomes = [await self._outcomes.get() for _ in names]
        return [json.loads(outcome.detail or b"{}").get("result", outcome.state) for outcome in outcomes]


def _look() -> str:
    return SEEN.get()


def _mark() -> str:
    before = SEEN.get()
    SEEN.set("dirty")
    return before


@kinds(_mark)
async def test_a_context_variable_does_not_leak_into_the_next_task(
    harness: Harness, function: Function
) -> None:
    harness.registry.add(function, "mark")
    bench = Bench(harness.executor)
    assert await bench.run("mark", "mark") == ["clean", "clean"]
    assert await bench.run("mark") == ["clean"]
    await bench.slots.close()


@kinds(_look)
async def test_a_task_does_not_see_the_context_of_whoever_put_it(
    harness: Harness, function: Function
) -> None:
    harness.registry.add(function, "look")
    bench = Bench(harness.executor)
    token = SEEN.set("the reader's")
    assert await bench.run("look") == ["clean"]
    SEEN.reset(token)
    await bench.slots.close()


async def _cancel_and_return() -> str:
    current = asyncio.current_task()
    assert current
    current.cancel()
    return "returned"


async def _cancel_and_wait() -> None:
    await _cancel_and_return()
    await asyncio.sleep(0)


async def test_a_task_that_cancels_itself_does_not_harm_the_next_on_its_slot(harness: Harness) -> None:
    harness.registry.add(_cancel_and_return, "return")
    harness.registry.add(_cancel_and_wait, "wait")
    harness.registry.add(lambda: "fine", "plain")
    bench = Bench(harness.executor)
    names = ["return", "plain", "wait", "plain", "return", "wait", "plain"]
    assert await bench.run(*names) == [
        "returned",
        "fine",
        TaskState.FAILED,
        "fine",
        "returned",
        TaskState.FAILED,
        "fine",
    ]
    for name in names:
        await bench.run(name)
    assert bench.slots.free == 1, "all was given back"
    await bench.slots.close()


async def test_a_task_that_cancels_its_worker_later_does_not_stop_the_slot(harness: Harness) -> None:
    workers: list[asyncio.Task[Any]] = []

    async def remember() -> None:
        current = asyncio.current_task()
        assert current
        workers.append(current)

    harness.registry.add(remember, "remember")
    harness.registry.add(lambda: "fine", "plain")
    bench = Bench(harness.executor)
    await bench.run("remember")
    await asyncio.sleep(0)  # the worker is idle now
    workers[0].cancel()
    assert await bench.run("plain", "plain") == ["fine", "fine"]
    workers[-1].cancel()
    await asyncio.wait(workers)
    assert await bench.run("plain") == ["fine"]
    await bench.slots.close()


async def test_slots_in_debt_are_not_reserved_until_it_is_paid() -> None:
    """After a cut read a runner may be given more than it had reserved; it reads no more until that is done."""

    async def nothing(_: int) -> None: ...

    slots: Slots[int] = Slots(2, nothing)
    with slots.take_none() as debt:
        first, *others = [debt.use() for _ in range(3)]
    reserving = asyncio.create_task(slots.reserve(2, lambda: False, 10))
    first.give_back()
    await asyncio.sleep(0)
    assert not reserving.done()
    for slot in others:
        slot.give_back()
    assert (await reserving).count >= 1
