"""Executing one task: call the function, and turn whatever happens into an outcome."""

import asyncio
import contextvars
import json
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from millstream.states import TaskState
from millstream.tasks import Registry, TaskFunction

MAX_DETAIL_BYTES: Final = 1_048_576  # of a result; a larger one is a failure that says so
MAX_DEPTH: Final = 100  # of a result: what cannot be read back is not kept
MAX_TEXT: Final = 16_384  # characters of an error's message and traceback that are kept


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an execution ended; `detail` is JSON of the result or error, empty when the function returned None."""

    state: TaskState
    detail: bytes = b""


SUCCESS: Final = Outcome(TaskState.SUCCESS)


class UnknownTaskError(Exception):
    """No live runner has offered a task for too long."""


class ResultError(Exception):
    """What a task returned cannot be kept."""


def failure(error: BaseException) -> Outcome:
    """Write an error as a task's outcome: type, message, traceback."""
    detail = {
        "type": type(error).__qualname__,
        "message": _text(lambda: str(error))[:MAX_TEXT],
        "traceback": _text(lambda: "".join(traceback.format_exception(error)))[-MAX_TEXT:],
    }
    return Outcome(TaskState.FAILED, json.dumps({"error": detail}).encode())


def _text(write: Callable[[], str]) -> str:
    """Write what an error says of itself, as UTF-8 can hold it; user code writes it, so it may raise anything."""
    try:
        text = write()
    except BaseException as broken:  # noqa: BLE001 (a user's __str__ may even exit)
        text = f"(it could not be written: {type(broken).__name__})"
    return text.encode("utf-8", "backslashreplace").decode()


def _deeper_than(value: Any, limit: int) -> bool:
    """Whether lists and dicts are nested deeper than a limit."""
    level = [value]
    for _ in range(limit):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return False
    return True


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else ()


def success(result: Any) -> Outcome:
    """Write what a function returned as a task's outcome; what cannot be JSON is a failure."""
    if result is None:
        return SUCCESS
    try:
        if _deeper_than(result, MAX_DEPTH):
            return failure(
                ResultError(
                    f"the task returned something that is not JSON: it is nested deeper than {MAX_DEPTH} levels"
                )
            )
        detail = json.dumps({"result": result}, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        return failure(ResultError(f"the task returned something that is not JSON: {error}"))
    if len(detail) > MAX_DETAIL_BYTES:
        return failure(
            ResultError(f"the result is {len(detail)} bytes of JSON; {MAX_DETAIL_BYTES} are allowed")
        )
    return Outcome(TaskState.SUCCESS, detail)


Call = Callable[[], Any]  # a task's function with all that it is called with


class Executor:
    """Executes a task in named steps: resolve, bind, call, classify.

    Async functions run on the loop and plain ones in threads, as many as there are slots.
    """

    def __init__(self, registry: Registry, slots: int) -> None:
        self._registry = registry
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="task")

    async def execute(self, name: str, is_ending: Callable[[], bool]) -> Outcome:
        """Run a task by name. A cancellation gets out of here only while the runner is ending."""
        task = self._resolve(name)
        call = self._bind(task)
        try:
            return await (self._on_loop(call) if task.is_async else self._in_thread(call))
        except asyncio.CancelledError as error:
            if is_ending():  # not the task's own doing: the grace period is over, or the name lost
                raise
            return failure(error)

    def _resolve(self, name: str) -> TaskFunction:
        """Find the function; what this runner lacks never gets here (`sorting`)."""
        return self._registry[name]

    def _bind(self, task: TaskFunction) -> Call:
        """Give the function what it is called with: nothing yet."""
        return task.function

    async def _on_loop(self, call: Call) -> Outcome:
        try:
            return success(await call())
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 (SystemExit in a task must not end the runner)
            return failure(error)

    async def _in_thread(self, call: Call) -> Outcome:
        context = contextvars.Context()

        def classified() -> Outcome:
            try:
                return success(context.run(call))
            except BaseException as error:  # noqa: BLE001 (nothing but an outcome may cross the thread's border)
                return failure(error)

        return await asyncio.get_running_loop().run_in_executor(self._threads, classified)

    def close(self) -> None:
        """Let idle threads go; a busy thread cannot be joined."""
        self._threads.shutdown(wait=False, cancel_futures=True)
