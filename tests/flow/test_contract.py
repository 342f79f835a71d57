"""The contract of the first users' guide, over HTTP, on the whole engine."""

import asyncio
from typing import Any

import httpx2
import pytest

from api.app import create_app
from flow.conftest import Engine, eventually
from millstream.settings import Settings
from millstream.store import Store

GUIDE: list[dict[str, Any]] = [
    {"type": "parallel", "tasks": ["task_a", "task_b"]},
    {"type": "sequential", "tasks": ["task_c"]},
]


class Gates:
    """Tasks that say they run, and end when they are let."""

    def __init__(self, engine: Engine, *names: str) -> None:
        self.running = {name: asyncio.Event() for name in names}
        self.let = {name: asyncio.Event() for name in names}
        for name in names:
            engine.tasks.add(self._task(name), name)

    def _task(self, name: str) -> Any:
        async def run() -> None:
            self.running[name].set()
            await self.let[name].wait()

        return run


async def test_the_guide_word_for_word(engine: Engine) -> None:
    gates = Gates(engine, "task_a", "task_b", "task_c")
    await engine.runner()
    answer = await engine.http.post("/workflow", json={"workflow": GUIDE})
    assert answer.status_code == 200
    assert set(answer.json()) == {"run_id", "status"}
    assert answer.json()["status"] == "started"
    run_id = answer.json()["run_id"]
    await asyncio.gather(gates.running["task_a"].wait(), gates.running["task_b"].wait())
    assert await engine.status(run_id) == {"task_a": "running", "task_b": "running", "task_c": "pending"}
    gates.let["task_a"].set()
    gates.let["task_b"].set()
    await gates.running["task_c"].wait()
    assert await engine.status(run_id) == {"task_a": "success", "task_b": "success", "task_c": "running"}
    gates.let["task_c"].set()
    assert (await engine.ended(run_id))["state"] == "success"
    assert await engine.status(run_id) == {"task_a": "success", "task_b": "success", "task_c": "success"}


async def test_an_unknown_task_is_named_the_first_in_document_order(engine: Engine) -> None:
    engine.tasks.add(_nothing, "known")
    await engine.runner()
    stages = [{"type": "parallel", "tasks": ["known", "task_x", "task_y"]}]
    answer = await engine.http.post("/workflow", json={"workflow": stages})
    assert (answer.status_code, answer.json()) == (400, {"detail": "Unknown task: task_x"})


async def test_the_catalog_is_believed_while_no_runner_is_up(engine: Engine) -> None:
    engine.tasks.add(_nothing, "known")
    runner = await engine.runner()
    await runner.stopped()
    run_id = await engine.post([{"type": "parallel", "tasks": ["known"]}])
    assert await engine.status(run_id) == {"known": "pending"}
    await engine.runner()
    assert (await engine.ended(run_id))["state"] == "success"


@pytest.mark.parametrize(
    "body",
    [
        '{"workflow": []}',
        '{"workflow": [{"type": "parallel", "tasks": []}]}',
        '{"workflow": [{"type": "zigzag", "tasks": ["a"]}]}',
        '{"workflow": [{"type": "parallel", "tasks": [""]}]}',
        '{"workflow": [{"type": "parallel", "tasks": [7]}]}',
        '{"workflow": [{"type": "parallel"}]}',
        '{"workflow": "a"}',
        '{"workflow": [{"type": "par',
        "[]",
        "",
        '{"workflow": {"a": NaN}}',
        '{"workflow": [[Infinity, 1e999]]}',
        '{"workflow": [' + "1," * 200_000 + "1]}",
        "[" * 100_000,
        '{"workflow": [' + '{"type": "parallel", "tasks": [' * 500 + '"a"' + "]}" * 500 + "]}",
        '{"workflow": [{"type": "parallel", "tasks": [' + ",".join(['"a"'] * 10_001) + "]}]}",
    ],
    ids=lambda body: body[:60] or "empty",
)
async def test_a_malformed_request_gets_fastapis_422(engine: Engine, body: str) -> None:
    answer = await engine.http.post("/workflow", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    for problem in answer.json()["detail"]:
        assert problem["loc"][0] == "body"
        assert problem["msg"]
        assert problem["type"]


async def test_a_body_too_large_is_refused_with_the_limit_named(engine: Engine) -> None:
    answer = await engine.http.post("/workflow", content=b" " * 9_000_000)
    assert answer.status_code == 413
    assert "8388608" in answer.json()["detail"]


@pytest.mark.parametrize("run_id", ["nope", "7d0f6f0e-5d5c-4c5e-9a6b-0c9c6c0f1b55"])
@pytest.mark.parametrize("path", ["/workflow/{}", "/workflow/{}/status"])
async def test_an_unknown_run_is_not_found(engine: Engine, path: str, run_id: str) -> None:
    answer = await engine.http.get(path.format(run_id))
    assert (answer.status_code, answer.json()) == (404, {"detail": "Workflow not found"})


async def test_a_full_backlog_answers_429_with_retry_after(engine: Engine) -> None:
    engine.tasks.add(_nothing, "known")
    await engine.runner()
    app = create_app(engine.settings.model_copy(update={"max_backlog": 1}))
    gates = Gates(engine, "held")
    await engine.runner()
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://small") as http:

            async def refused() -> httpx2.Response | None:
                answer = await http.post(
                    "/workflow", json={"workflow": [{"type": "parallel", "tasks": ["held"]}]}
                )
                assert answer.status_code in {200, 429, 503}, answer.text
                return answer if answer.status_code == 429 else None

            answer = await eventually(refused, "the backlog to fill")
            assert int(answer.headers["Retry-After"]) > 0
    gates.let["held"].set()
    await eventually(lambda: _all_ended(engine), "all to end")


async def _all_ended(engine: Engine) -> bool:
    store = Store(engine.settings, "look")
    left = [await store.connector.client.zcard(keys.runs_in("running")) for keys in store.partitions]  # type: ignore[arg-type]
    await store.close()
    return not any(left)


async def test_without_redis_the_answer_is_503_with_retry_after() -> None:
    app = create_app(Settings(redis_url="redis://127.0.0.1:1/0"))
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://alone") as http:
            for answer in (
                await http.post("/workflow", json={"workflow": GUIDE}),
                await http.get("/workflow/7d0f6f0e-5d5c-4c5e-9a6b-0c9c6c0f1b55/status"),
            ):
                assert answer.status_code == 503
                assert int(answer.headers["Retry-After"]) > 0
            assert (await http.get("/health/live")).status_code == 200
            assert (await http.get("/health/ready")).status_code == 503


async def test_openapi_shows_the_contract_with_an_example(engine: Engine) -> None:
    document = (await engine.http.get("/openapi.json")).json()
    assert "/workflow/{run_id}/status" in document["paths"]
    assert document["components"]["schemas"]["WorkflowDefinition"]["examples"][0]["workflow"] == GUIDE
    assert (await engine.http.get("/docs")).status_code == 200


async def _nothing() -> None:
    """Do nothing."""


async def test_a_client_that_goes_away_within_its_body_is_no_error_of_the_api(engine: Engine) -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/workflow", "raw_path": b"/workflow", "root_path": "",
        "query_string": b"", "headers": [], "http_version": "1.1", "scheme": "http",
        "client": ("a", 1), "server": ("b", 2),
    }  # fmt: skip
    await engine.app(scope, receive, send)
    assert sent[0]["status"] == 400
