"""Random workflows, and a small independent oracle of how each of them ends."""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

Stages = list[dict[str, Any]]

NAMES = ("a", "b", "c", "a-2")
_TYPES = ("parallel", "sequential")


def trees(names: Sequence[str] = NAMES) -> st.SearchStrategy[Stages]:
    """Workflows as users write them: every short form, ids of their own, stages within stages."""
    name = st.sampled_from(names)
    ids = st.sampled_from([*names, *(f"{name}-2" for name in names), "own"])
    entry: st.SearchStrategy[Any] = name | st.builds(_task, name, st.none() | ids)
    for _ in range(3):
        entry = name | entry | st.builds(_stage, st.sampled_from(_TYPES), _some(entry))
    return _some(st.builds(_stage, st.sampled_from(_TYPES), _some(entry))).map(_with_ids_once)


def _some(entries: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(entries, min_size=1, max_size=4)


def _task(name: str, task_id: str | None = None) -> dict[str, Any]:
    return {"task": name} if task_id is None else {"task": name, "id": task_id}


def _stage(kind: str, entries: list[Any]) -> dict[str, Any]:
    return {"type": kind, "tasks": entries}


def _with_ids_once(stages: Stages) -> Stages:
    """Drop an explicit id where it was used before: a definition that uses one twice is refused."""
    seen: set[str] = set()

    def cleaned(entry: Any) -> Any:
        if isinstance(entry, str):
            return entry
        if "tasks" in entry:
            return {**entry, "tasks": [cleaned(child) for child in entry["tasks"]]}
        if entry.get("id") in seen:
            return {"task": entry["task"]}
        seen.update({entry["id"]} if "id" in entry else ())
        return entry

    return [cleaned(stage) for stage in stages]


def random_workflow(rng: random.Random, names: Sequence[str], max_tasks: int) -> Stages:
    """Write a workflow of at most `max_tasks` (at least one) tasks, nested at random."""
    left = rng.randint(1, max_tasks)

    def stage(depth: int) -> dict[str, Any]:
        nonlocal left
        entries: list[Any] = []
        for _ in range(rng.randint(1, 5)):
            if left and depth < 4 and rng.random() < 0.3:
                entries.append(stage(depth + 1))
            elif left:
                left -= 1
                entries.append(rng.choice(names))
        return _stage(rng.choice(_TYPES), entries)

    stages = []
    while left:
        stages.append(stage(1))
    return stages


def leaves(entry: Any) -> Iterator[tuple[str, str]]:
    """(id, name) of every task of a canonical entry, in document order."""
    if isinstance(entry, str):
        yield entry, entry
    elif "task" in entry:
        yield entry["id"], entry["task"]
    else:
        for child in entry["tasks"]:
            yield from leaves(child)


def oracle(stages: Stages, fails: Callable[[str], bool]) -> tuple[dict[str, str], str]:
    """Say how every task (by id) and the run end, given canonical stages and which ids fail."""
    status: dict[str, str] = {}

    def ends_well(entry: Any) -> bool:
        if isinstance(entry, str) or "task" in entry:
            ((task_id, _),) = leaves(entry)
            status[task_id] = "failed" if fails(task_id) else "success"
            return status[task_id] == "success"
        if entry["type"] == "parallel":
            endings = [ends_well(child) for child in entry["tasks"]]  # all of them run, whatever fails
            return all(endings)
        for at, child in enumerate(entry["tasks"]):
            if not ends_well(child):
                for unreached in entry["tasks"][at + 1 :]:
                    status.update({task_id: "skipped" for task_id, _ in leaves(unreached)})
                return False
        return True

    well = ends_well({"type": "sequential", "tasks": stages})
    return status, "success" if well else "failed"
