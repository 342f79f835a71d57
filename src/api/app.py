"""The FastAPI application: stateless, a store per process, errors in one place."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from millstream import __version__
from millstream.errors import RedisUnavailableError
from millstream.lifecycle import Stop, until_available
from millstream.settings import Settings, load_settings

from api.gateway import Gateway
from api.routes import router

log = structlog.get_logger()
RETRY_AFTER_SECONDS: Final = 2
DESCRIPTION = """Workflows of stages of named tasks, driven by Redis Streams.

POST a workflow, keep its `run_id`, and ask for its status."""


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the gateway; Redis may come later, until then requests are answered 503."""
    settings: Settings = getattr(app.state, "settings", None) or load_settings()
    gateway = app.state.gateway = Gateway(settings)
    stop = Stop()
    preparing = asyncio.create_task(until_available(gateway.prepare, stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(preparing, return_exceptions=True)
        await gateway.close()


async def redis_unavailable(_: Request, error: Exception) -> JSONResponse:
    """Answer 503: nothing was half written, and the client may send again."""
    log.warning("redis_unavailable", doing="request", error=str(error))
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return JSONResponse({"detail": "Redis is unavailable; try again"}, 503, headers)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Make the application; without settings it reads the environment when it starts."""
    app = FastAPI(title="Millstream", version=__version__, description=DESCRIPTION, lifespan=lifespan)
    app.state.settings = settings
    app.include_router(router)
    app.add_exception_handler(RedisUnavailableError, redis_unavailable)
    return app


app = create_app()
