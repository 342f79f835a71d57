"""Workflows of a storm, and how each of them must end."""

import random
from typing import Any

from millstream.workflow.definition import WorkflowDefinition, normalise
from storm.storm_tasks import ALL, LONG, fails
from trees import Stages, leaves, oracle, random_workflow

MAX_WIDTH = 200
STEP = 0.5  # the weight that a name stands for once
NAMES = [name for name, (weight, _) in ALL.items() for _ in range(int(weight / STEP))]
SHORT_NAMES = [name for name in NAMES if name not in LONG]


def workflow(rng: random.Random) -> Stages:
    """Write a workflow: mostly small trees, some wide stages, some chains."""
    kind = rng.random()
    if kind < 0.7:
        return random_workflow(rng, NAMES, rng.choice((3, 10, 30)))
    if kind < 0.85:
        wide = {"type": "parallel", "tasks": rng.choices(NAMES, k=rng.randint(1, MAX_WIDTH))}
        return [*random_workflow(rng, SHORT_NAMES, 3), wide, *random_workflow(rng, NAMES, 3)]
    chain = rng.choices(SHORT_NAMES, k=rng.randint(2, 20))
    return [{"type": "sequential", "tasks": chain}, *random_workflow(rng, NAMES, 5)]


def canonical(stages: Stages) -> Stages:
    """Give every task its id, as the api does when it takes a workflow."""
    return normalise(WorkflowDefinition.model_validate({"workflow": stages}), 10_000)


def expected(stages: Stages) -> tuple[dict[str, str], str]:
    """Say how each task of canonical stages, and the run, must end."""
    names = {task_id: name for stage in stages for task_id, name in leaves(stage)}
    return oracle(stages, lambda task_id: fails(names[task_id]))


def tasks_of(run: dict[str, Any]) -> list[dict[str, Any]]:
    """Every task of a run as the api shows it."""
    found, left = [], list(run["workflow"])
    while left:
        entry = left.pop()
        if "tasks" in entry:
            left += entry["tasks"]
        else:
            found.append(entry)
    return found
