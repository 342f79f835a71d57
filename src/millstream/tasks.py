"""The `task` decorator, and the tasks that a process knows.

    from millstream import task

    @task
    async def fetch(): ...          # runs on the runner's event loop

    @task(name="resize-image")
    def resize(): ...               # runs in a thread

A task fails by raising; what it returns, JSON, is kept as its result.
"""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, overload

from millstream.errors import ConfigurationError, InvalidTaskError

F = TypeVar("F", bound=Callable[[], Any])


@dataclass(frozen=True, slots=True)
class TaskFunction:
    """A function that serves as a task."""

    name: str
    function: Callable[[], Any]
    is_async: bool
    description: str


class Registry(dict[str, TaskFunction]):
    """Task name → function."""

    def add(self, function: Callable[[], Any], name: str | None = None) -> None:
        """Register a function under its own name or another. Raises InvalidTaskError."""
        name = name or getattr(function, "__name__", None)
        if name is None:
            raise InvalidTaskError(f'{function!r} has no name of its own; give it one: @task(name="…")')
        required = [
            p.name
            for p in inspect.signature(function).parameters.values()
            if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        ]
        if required:
            raise InvalidTaskError(f"Task {name!r} asks for {', '.join(required)}; a task takes no arguments")
        known = self.get(name)
        if known and (known.function.__module__, known.function.__qualname__) != (
            function.__module__, function.__qualname__,
        ):  # fmt: skip
            raise InvalidTaskError(
                f"Task {name!r} is defined twice, in {known.function.__module__} and {function.__module__}; "
                'give one another name: @task(name="…")'
            )
        description = inspect.getdoc(function) or ""
        self[name] = TaskFunction(name, function, inspect.iscoroutinefunction(function), description)


registry = Registry()


@overload
def task(function: F) -> F: ...
@overload
def task(*, name: str) -> Callable[[F], F]: ...
def task(function: F | None = None, *, name: str | None = None) -> F | Callable[[F], F]:
    """Make a function a task, under its own name or the one given; the function itself is returned unchanged.

    Raises InvalidTaskError when it asks for arguments or its name is taken by another function.
    """
    if function is not None:
        registry.add(function, name)
        return function

    def decorate(decorated: F) -> F:
        registry.add(decorated, name)
        return decorated

    return decorate


def import_tasks(modules: Iterable[str]) -> Registry:
    """Import task modules, the current directory appended to the path, and give all tasks known then.

    Raises ConfigurationError when a module cannot be imported or no task is defined.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    for module in modules:
        try:
            importlib.import_module(module)
        except (Exception, SystemExit) as error:
            raise ConfigurationError(
                f"MILLSTREAM_TASKS names the module {module!r}, which cannot be imported: "
                f"{type(error).__name__}: {error}"
            ) from error
    if not registry:
        raise ConfigurationError(
            "No task is defined. Set MILLSTREAM_TASKS to the modules that define them, e.g. MILLSTREAM_TASKS=my_tasks"
        )
    return registry
