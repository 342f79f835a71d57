"""The definition as users write it: a tree of stages, validated here and nowhere else.

`normalise` gives every task its id and returns the canonical form that is stored and travels in the
`workflows` entry: a task is a bare name when its id is its name, else `{"task": …, "id": …}`.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, FailFast, Field, Tag

from millstream.errors import InvalidDefinitionError
from millstream.workflow.spec import TaskNumber, TaskSpec

MAX_DEPTH = 32  # stages within stages; deeper is refused
Name = Annotated[str, Field(min_length=1, max_length=200)]


class TaskEntry(BaseModel):
    """A task with an id of its own."""

    model_config = ConfigDict(extra="forbid")

    task: Name = Field(description="The task's name, as a runner offers it")
    id: Annotated[str, Field(min_length=1, max_length=250)] | None = Field(
        None, description="What the status map shows; the name by default"
    )


def _kind(entry: Any) -> str:
    if isinstance(entry, str):
        return "name"
    if isinstance(entry, Stage) or (isinstance(entry, dict) and ("type" in entry or "tasks" in entry)):
        return "stage"
    return "task"


class Stage(BaseModel):
    """Tasks or further stages, all at once (parallel) or one after another (sequential)."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["parallel", "sequential"]
    tasks: Annotated[list["Entry"], FailFast()] = Field(
        min_length=1, description="Task names, task objects, or nested stages"
    )


Entry = Annotated[
    Annotated[Name, Tag("name")] | Annotated[TaskEntry, Tag("task")] | Annotated[Stage, Tag("stage")],
    Discriminator(_kind),
]
Stage.model_rebuild()


class WorkflowDefinition(BaseModel):
    """A workflow: its stages, run in array order."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "workflow": [
                        {"type": "parallel", "tasks": ["task_a", "task_b"]},
                        {"type": "sequential", "tasks": ["task_c"]},
                    ]
                }
            ]
        },
    )

    workflow: Annotated[list[Stage], FailFast()] = Field(
        min_length=1, description="The stages, in the order in which they run"
    )


Location = tuple[str | int, ...]


def _tasks(stages: list[Stage]) -> Iterator[tuple[Location, str, str | None]]:
    """Every task in document order: where it stands, its name, its explicit id."""
    stack: list[tuple[Location, Any]] = [(("workflow", n), s) for n, s in reversed(list(enumerate(stages)))]
    while stack:
        location, entry = stack.pop()
        if isinstance(entry, Stage):
            if len(location) > 2 * MAX_DEPTH:
                raise InvalidDefinitionError(f"Stages may be nested {MAX_DEPTH} deep at most", location)
            children = list(enumerate(entry.tasks))
            stack += [((*location, "tasks", n), child) for n, child in reversed(children)]
        elif isinstance(entry, TaskEntry):
            yield location, entry.task, entry.id
        else:
            yield location, entry, None


def specify(definition: WorkflowDefinition, max_tasks: int) -> list[TaskSpec]:
    """Give every task its number and id, in document order. Explicit ids are taken first (README, "Workflows").

    Raises InvalidDefinitionError: nested too deep, more than `max_tasks` tasks, an explicit id used twice.
    """
    tasks, taken = [], set()
    for location, name, explicit in _tasks(definition.workflow):
        tasks.append((name, explicit))
        if len(tasks) > max_tasks:
            raise InvalidDefinitionError(f"A workflow may have {max_tasks} tasks at most", ("workflow",))
        if explicit is not None:
            if explicit in taken:
                raise InvalidDefinitionError(
                    f"The id {explicit!r} is used twice; ids must differ", (*location, "id")
                )
            taken.add(explicit)
    following: dict[str, int] = {}
    specs = []
    for number, (name, explicit) in enumerate(tasks):
        chosen = explicit
        while chosen is None:
            n = following[name] = following.get(name, 0) + 1
            candidate = name if n == 1 else f"{name}-{n}"
            chosen = None if candidate in taken else candidate
        taken.add(chosen)
        specs.append(TaskSpec(number=TaskNumber(number), id=chosen, name=name))
    return specs


def canonical(definition: WorkflowDefinition, specs: Iterable[TaskSpec]) -> list[dict[str, Any]]:
    """Write the canonical stages of a definition whose tasks were specified; `spec_of` reads a task of them."""
    following = iter(specs)

    def write(entry: Any) -> Any:
        if isinstance(entry, Stage):
            return {"type": entry.type, "tasks": [write(child) for child in entry.tasks]}
        spec = next(following)
        return spec.name if spec.id == spec.name else {"task": spec.name, "id": spec.id}

    return [write(stage) for stage in definition.workflow]


def spec_of(entry: Any, number: int) -> TaskSpec:
    """Read a task as `canonical` writes it. Raises KeyError and TypeError for what is none."""
    if isinstance(entry, str):
        return TaskSpec(number=TaskNumber(number), id=entry, name=entry)
    return TaskSpec(number=TaskNumber(number), id=entry["id"], name=entry["task"])


def normalise(definition: WorkflowDefinition, max_tasks: int) -> list[dict[str, Any]]:
    """Write the canonical stages, every id decided. Raises InvalidDefinitionError as `specify` does."""
    return canonical(definition, specify(definition, max_tasks))
