"""The routes. The contract of the first users' guide is kept word for word."""

from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, HTTPException, Request, Response

from api.body import read_body
from api.gateway import Gateway
from api.schemas import Problem, RunView, Started
from api.view import run_view
from millstream.process.health import Answer
from millstream.protocol.formats import is_newer

JSON: Final = "application/json"
RETRY_AFTER_SECONDS: Final = 5
NEWER: Final = "A newer version wrote this run; ask again when all apis are of that version"
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
    """Give the process's gateway. A coroutine: FastAPI sends a plain function to a thread, for some 100 µs."""
    gateway: Gateway = request.app.state.gateway
    return gateway


GatewayOf = Annotated[Gateway, Depends(gateway_of)]


@router.post(
    "/workflow",
    summary="Submit a workflow",
    openapi_extra=SCHEMA,
    response_model=Started,
    responses={
        400: {"model": Problem, "description": "Unknown task"},
        413: {"model": Problem, "description": "The body is too large"},
        422: {"description": "The workflow is malformed"},
        429: {"model": Problem, "description": "The backlog is full; Retry-After says when to try again"},
        **UNAVAILABLE,
    },
)
async def submit(request: Request) -> Response:
    """Accept a workflow: when this answers, the run is in Redis with its definition."""
    gateway: Gateway = request.app.state.gateway
    submission = gateway.submissions.of(await read_body(request.receive))
    unknown = await gateway.unknown(submission.names)
    if unknown is not None:
        raise HTTPException(400, f"Unknown task: {unknown}")
    run_id, reply = await gateway.submit(submission)
    if reply in REFUSED:
        raise HTTPException(429, REFUSED[reply], {"Retry-After": str(RETRY_AFTER_SECONDS)})
    return Response(b'{"run_id":"%s","status":"started"}' % run_id.encode(), media_type=JSON)


@router.get(
    "/workflow/{run_id}/status",
    summary="The status of every task",
    response_model=dict[str, str],
    responses={**NOT_FOUND, **UNAVAILABLE},
)
async def status(request: Request, run_id: str) -> Response:
    """Give every task id's state: `pending`, `running`, `success`, `failed`, `skipped` or `cancelled`."""
    gateway: Gateway = request.app.state.gateway
    found = await gateway.statuses(run_id)
    if found is None:
        raise HTTPException(404, "Workflow not found")
    return Response(orjson.dumps(found), media_type=JSON)


@router.get(
    "/workflow/{run_id}",
    summary="The whole run",
    response_model=RunView,
    responses={**NOT_FOUND, **UNAVAILABLE},
)
async def run(run_id: str, gateway: GatewayOf) -> Response:
    """Give state, times, and every stage and task with attempts, epoch, runner, error, result."""
    kept = await gateway.run(run_id)
    if kept is None:
        raise HTTPException(404, "Workflow not found")
    if is_newer(kept.record.version):
        raise HTTPException(503, NEWER, {"Retry-After": str(RETRY_AFTER_SECONDS)})
    return Response(run_view(run_id, kept).model_dump_json(), media_type=JSON)


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
