"""The short way in: what clients ask by the thousand does not go through FastAPI's layers.

Telemetry, middleware, routing, dependencies and serialisation are some 120 of 180 µs of the api's CPU for a submission.
The functions are those that `routes` declares, which documents them, and errors are answered by the same
handlers; so both ways give the same answers.
"""

from collections.abc import Awaitable
from typing import Any, Final, cast

from fastapi import FastAPI, Request, Response
from starlette.types import Receive, Scope, Send

from api.routes import status, submit

PATH: Final = "/workflow"
BEFORE, AFTER = f"{PATH}/", "/status"


class ShortWay(FastAPI):
    """FastAPI, where a submission and a status map are answered at once. With middleware, all go through it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve as an ASGI application."""
        request = (
            Request(scope, receive, send) if scope["type"] == "http" and not self.user_middleware else None
        )
        answering = _answering(request) if request else None
        if request is None or answering is None:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        try:
            response = await answering
        except Exception as error:  # noqa: BLE001 (what no handler is for is raised again)
            response = await self._refusal(request, error)
        await response(scope, receive, send)

    async def _refusal(self, request: Request, error: Exception) -> Response:
        for kind in type(error).__mro__:
            if kind in self.exception_handlers:
                answering: Any = self.exception_handlers[kind](request, error)
                return cast("Response", await answering)
        raise error


def _answering(request: Request) -> Awaitable[Response] | None:
    """Find the request's answer; None when it goes the long way."""
    method, path = request.scope["method"], request.scope["path"]
    if method == "POST" and path == PATH:
        return submit(request)
    if method == "GET" and path.startswith(BEFORE) and path.endswith(AFTER):
        run_id = path[len(BEFORE) : -len(AFTER)]
        if run_id and "/" not in run_id:
            return status(request, run_id)
    return None
