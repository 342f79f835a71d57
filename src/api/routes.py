"""The routes. The contract of the first users' guide is kept word for word."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import ClientDisconnect

from api.gateway import Gateway
from api.schemas import Problem, RunView, Started
from api.view import run_view
from millstream.definition import WorkflowDefinition, normalise
from millstream.errors import InvalidDefinitionError
from millstream.health import Answer
from millstream.plan import Plan

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
RETRY_AFTER_SECONDS: Final = 5
MAX_PROBLEMS: Final = 20  # a 422 tells so many, each with so much of what was sent
MAX_ECHO: Final = 200
REFUSED: Final = {
    "backlog": "The backlog is full; try again later",
    "memory": "Redis is above 80 % of its maxmemory; try again later",
}
NOT_FOUND: Final[dict[int | str, dict[str, Any]]] = {
    404: {"model": Problem, "description": "Workflow not found"}
}
UNAVAILABLE: Final[dict[int | str, dict[str, Any]]] = {
    503: {"model": Problem, "description": "Redis is unavailable; Retry-After says when"}
}
SCHEMA: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/WorkflowDefinition"}}},
    }
}

router = APIRouter()


async def gateway_of(request: Request) -> Gateway:
    """Give the process's gateway. A coroutine: FastAPI sends a plain function to a thread, for 190 µs a request."""
    gateway: Gateway = request.app.state.gateway
    return gateway


GatewayOf = Annotated[Gateway, Depends(gateway_of)]


async def read_body(request: Request) -> bytes:
    """Read a request's body, refusing one that is too large before it is kept."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise HTTPException(413, f"The body is larger than {MAX_BODY_BYTES} bytes")
    except ClientDisconnect:
        raise HTTPException(400, "The request ended before its body did") from None
    return bytes(body)


def parse(body: bytes, max_tasks: int) -> list[dict[str, Any]]:
    """Validate a submission; gives the canonical stages. Raises RequestValidationError, FastAPI's 422."""
    try:
        return normalise(WorkflowDefinition.model_validate_json(body), max_tasks)
    except ValidationError as error:
        raise RequestValidationError(
            [_problem(problem) for problem in error.errors(include_url=False)[:MAX_PROBLEMS]]
        ) from None
    except InvalidDefinitionError as error:
        problem = {"type": "value_error", "loc": ("body", *error.location), "msg": str(error), "input": None}
        raise RequestValidationError([problem]) from None


def _problem(found: ErrorDetails) -> dict[str, Any]:
    """Write a problem as FastAPI does; JSON that cannot be read is not sent back."""
    problem = {**found, "loc": ("body", *found["loc"])}
    if found["type"] == "json_invalid":
        problem |= {"msg": "JSON decode error", "input": {}}
    elif not isinstance(found["input"], int | None):
        problem["input"] = str(found["input"])[
            :MAX_ECHO
        ]  # as text: what JSON lacks, NaN, would break the answer
    return problem


@router.post(
    "/workflow",
    summary="Submit a workflow",
    openapi_extra=SCHEMA,
    responses={
        400: {"model": Problem, "description": "Unknown task"},
        413: {"model": Problem, "description": "The body is too large"},
        422: {"description": "The workflow is malformed"},
        429: {"model": Problem, "description": "The backlog is full; Retry-After says when to try again"},
        **UNAVAILABLE,
    },
)
async def submit(gateway: GatewayOf, body: Annotated[bytes, Depends(read_body)]) -> Started:
    """Accept a workflow: when this answers, the run is in Redis with its definition."""
    stages = parse(body, gateway.settings.max_tasks)
    plan = Plan(stages)
    unknown = await gateway.unknown([task.name for task in plan.tasks])
    if unknown is not None:
        raise HTTPException(400, f"Unknown task: {unknown}")
    run_id, reply = await gateway.submit(stages, plan)
    if reply in REFUSED:
        raise HTTPException(429, REFUSED[reply], {"Retry-After": str(RETRY_AFTER_SECONDS)})
    return Started(run_id=run_id)


@router.get(
    "/workflow/{run_id}/status", summary="The status of every task", responses={**NOT_FOUND, **UNAVAILABLE}
)
async def status(run_id: str, gateway: GatewayOf) -> dict[str, str]:
    """Give every task id's state: `pending`, `running`, `success`, `failed`, `skipped` or `cancelled`."""
    found = await gateway.statuses(run_id)
    if found is None:
        raise HTTPException(404, "Workflow not found")
    return found


@router.get("/workflow/{run_id}", summary="The whole run", responses={**NOT_FOUND, **UNAVAILABLE})
async def run(run_id: str, gateway: GatewayOf) -> RunView:
    """Give state, times, and every stage and task with attempts, epoch, runner, error, result."""
    record = await gateway.run(run_id)
    if record is None:
        raise HTTPException(404, "Workflow not found")
    return run_view(run_id, record)


def _answer(response: Response, answer: Answer) -> dict[str, Any]:
    response.status_code, body = answer
    return body


@router.get(
    "/health/live", summary="Whether the process makes progress; independent of Redis", tags=["health"]
)
async def live(response: Response) -> dict[str, Any]:
    """Answering is the api's progress."""
    return _answer(response, (200, {"status": "live"}))


@router.get("/health/ready", summary="Whether Redis can be reached", tags=["health"], responses={503: {}})
async def ready(response: Response, gateway: GatewayOf) -> dict[str, Any]:
    """Answer 200 while Redis answers, 503 otherwise."""
    reachable = await gateway.ping()
    return _answer(
        response, (200, {"status": "ready"}) if reachable else (503, {"status": "redis unreachable"})
    )
