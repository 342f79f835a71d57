"""The FastAPI application: stateless, a store per process, errors in one place."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse

from api.gateway import Gateway
from api.routes import router
from api.short_way import ShortWay
from millstream import __version__
from millstream.errors import RedisUnavailableError
from millstream.process.lifecycle import Stop
from millstream.settings import Settings, load_settings
from millstream.workflow.definition import WorkflowDefinition

log = structlog.get_logger()
RETRY_AFTER_SECONDS: Final = 2
LEAVE_SECONDS: Final = (
    3.0  # for the goodbye to a Redis that may be frozen; else this api is found dead a lease later
)
DESCRIPTION = """Workflows of stages of named tasks, driven by Redis Streams.

POST a workflow, keep its `run_id`, and ask for its status."""


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the gateway; Redis may come later, until then requests are answered 503."""
    settings: Settings = getattr(app.state, "settings", None) or load_settings()
    gateway = app.state.gateway = Gateway(settings)
    stop = Stop()
    keeping = asyncio.create_task(_keep(gateway, stop))
    try:
        yield
    finally:
        stop.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                await keeping
        await gateway.close()


async def _keep(gateway: Gateway, stop: Stop) -> None:
    try:
        await gateway.keep(stop)
    except Exception:
        log.exception("presence_crashed", means="requests are served, but the others take this api for dead")


async def redis_unavailable(_: Request, error: Exception) -> JSONResponse:
    """Answer 503: nothing was half written, and the client may send again."""
    log.warning("redis_unavailable", doing="request", error=str(error))
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return JSONResponse({"detail": "Redis is unavailable; try again"}, 503, headers)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Make the application; without settings it reads the environment when it starts."""
    app = ShortWay(title="Millstream", version=__version__, description=DESCRIPTION, lifespan=lifespan)
    app.state.settings = settings
    app.include_router(router)
    app.add_exception_handler(RedisUnavailableError, redis_unavailable)
    app.openapi = lambda: _with_definition(app)  # type: ignore[method-assign]
    return app


def _with_definition(app: FastAPI) -> dict[str, Any]:
    """Complete the document: the body is read in the route, so FastAPI does not know its schema."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        schema = WorkflowDefinition.model_json_schema(ref_template="#/components/schemas/{model}")
        definitions = schema.pop("$defs")
        document["components"]["schemas"] |= {**definitions, "WorkflowDefinition": schema}
        app.openapi_schema = document
    return app.openapi_schema


app = create_app()
