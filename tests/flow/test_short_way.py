"""Both ways into the api, the short one and FastAPI's own, give the same answers."""

import json
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from api.app import create_app
from flow.conftest import Engine
from millstream.settings import Settings

GOOD = '{"workflow": [{"type": "parallel", "tasks": ["known"]}]}'
UNKNOWN = '{"workflow": [{"type": "parallel", "tasks": ["known", "task_x"]}]}'
NOBODYS = "7d0f6f0e-5d5c-4c5e-9a6b-0c9c6c0f1b55"


def client(app: FastAPI, *, short: bool) -> httpx2.AsyncClient:
    async def long_way(scope: Scope, receive: Receive, send: Send) -> None:
        await FastAPI.__call__(app, scope, receive, send)

    transport = httpx2.ASGITransport(app=app if short else long_way)
    return httpx2.AsyncClient(transport=transport, base_url="http://engine")


async def answers(app: FastAPI, method: str, path: str, body: str | None) -> list[Any]:
    found = []
    for short in (True, False):
        async with client(app, short=short) as http:
            answer = await http.request(method, path, content=body)
            found.append((answer.status_code, dict(answer.headers), answer.text))
    return found


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/workflow", UNKNOWN, 400),
        ("POST", "/workflow", '{"workflow": []}', 422),
        ("POST", "/workflow", '{"workflow": [{"type": "par', 422),
        ("POST", "/workflow", " " * 9_000_000, 413),
        ("GET", "/workflow", None, 405),
        ("PUT", "/workflow", GOOD, 405),
        ("HEAD", f"/workflow/{NOBODYS}/status", None, 405),
        ("POST", f"/workflow/{NOBODYS}/status", None, 405),
        ("GET", f"/workflow/{NOBODYS}/status", None, 404),
        ("GET", "/workflow/nope/status", None, 404),
        ("GET", "/workflow/a/b/status", None, 404),
        ("GET", "/workflow//status", None, 404),
        ("GET", "/workflow/status", None, 404),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_refusal_is_the_same_both_ways(
    engine: Engine, method: str, path: str, body: str | None, status: int
) -> None:
    engine.tasks.add(_nothing, "known")
    await engine.runner()
    short, long = await answers(engine.app, method, path, body)
    assert short == long
    assert short[0] == status


async def test_a_run_is_accepted_and_shown_the_same_both_ways(engine: Engine) -> None:
    engine.tasks.add(_nothing, "known")
    await engine.runner()
    (status, headers, body), (_, headers_too, body_too) = await answers(engine.app, "POST", "/workflow", GOOD)
    body, body_too = json.loads(body), json.loads(body_too)
    assert (status, headers, body.keys()) == (200, headers_too, body_too.keys())
    await engine.ended(body["run_id"])
    await engine.ended(body_too["run_id"])
    short, long = await answers(engine.app, "GET", f"/workflow/{body['run_id']}/status", None)
    assert short == long
    assert json.loads(short[2]) == {"known": "success"}


async def test_an_outage_is_told_the_same_both_ways() -> None:
    app = create_app(Settings(redis_url="redis://127.0.0.1:1/0"))
    async with app.router.lifespan_context(app):
        for method, path, body in (("POST", "/workflow", GOOD), ("GET", f"/workflow/{NOBODYS}/status", None)):
            short, long = await answers(app, method, path, body)
            assert short == long
            assert short[0] == 503


async def test_middleware_sees_every_request(engine: Engine) -> None:
    app = create_app(engine.settings)
    seen: list[str] = []

    @app.middleware("http")
    async def look(request: Any, call_next: Any) -> Any:
        seen.append(request.url.path)
        return await call_next(request)

    async with app.router.lifespan_context(app), client(app, short=True) as http:
        await http.post("/workflow", content="{}")
    assert seen == ["/workflow"]


async def _nothing() -> None:
    """Do nothing."""
