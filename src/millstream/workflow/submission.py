"""A submission: a workflow as somebody sent it, validated, with its definition in canonical form."""

from dataclasses import dataclass

import orjson

from millstream.workflow.definition import WorkflowDefinition, canonical, specify
from millstream.workflow.spec import TaskSpec


@dataclass(frozen=True, slots=True)
class Submission:
    """What is asked for: the names of tasks (each once), their ids in document order, and the canonical definition."""

    names: tuple[str, ...]
    ids: tuple[str, ...]
    text: bytes


def parse(body: bytes, max_tasks: int) -> Submission:
    """Validate a workflow as JSON.

    Raises pydantic's ValidationError for what is malformed, InvalidDefinitionError for what cannot be run.
    """
    definition = WorkflowDefinition.model_validate_json(body)
    specs = specify(definition, max_tasks)
    return Submission(
        _names(specs), tuple(spec.id for spec in specs), orjson.dumps(canonical(definition, specs))
    )


def _names(specs: list[TaskSpec]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(spec.name for spec in specs))
