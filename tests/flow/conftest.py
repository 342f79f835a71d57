"""The three services in one process, on a real Redis, without sleeps; and what must be left when a test ends."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest

from api.app import create_app
from lab import Lab
from millstream.process.lifecycle import Stop
from millstream.protocol.keys import RUNNERS, SCHEDULERS
from millstream.settings import Settings
from millstream.store import Store
from millstream.tasks import Registry
from runner.service import Runner
from scheduler.service import serve as serve_scheduler

ENDED = {"success", "failed", "cancelled"}


async def eventually(condition: Callable[[], Awaitable[Any]], what: str, seconds: float = 30.0) -> Any:
    """Look at a condition until it holds."""
    async with asyncio.timeout(seconds):
        while not (found := await condition()):
            await asyncio.sleep(0.01)  # between two looks
    assert found, what
    return found


class Engine:
    """A running engine: one api, and as many schedulers and runners as were started."""

    def __init__(
        self, settings: Settings, app: Any, http: httpx2.AsyncClient, group: asyncio.TaskGroup
    ) -> None:
        self.settings = settings
        self.app = app
        self.http = http
        self.tasks = Registry()
        self._group = group
        self._stops: list[Stop] = []

    def scheduler(self) -> Stop:
        stop = self._stop()
        self._group.create_task(serve_scheduler(self.settings, stop))
        return stop

    async def runner(self, tasks: Registry | None = None, **changes: object) -> "RunnerHandle":
        """Start a runner; its catalog is written when this returns."""
        stop = self._stop()
        store = Store(self.settings.model_copy(update=changes), "runner")
        runner = Runner(store, tasks if tasks is not None else self.tasks, stop)
        await runner.prepare()
        return RunnerHandle(stop, self._group.create_task(_run(runner, store)), runner)

    def _stop(self) -> Stop:
        self._stops.append(Stop())
        return self._stops[-1]

    def stop(self) -> None:
        for stop in self._stops:
            stop.set()

    async def post(self, stages: list[dict[str, Any]]) -> str:
        answer = await self.http.post("/workflow", json={"workflow": stages})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["status"] == "started"
        return str(body["run_id"])

    async def status(self, run_id: str) -> dict[str, str]:
        answer = await self.http.get(f"/workflow/{run_id}/status")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def run(self, run_id: str) -> dict[str, Any]:
        answer = await self.http.get(f"/workflow/{run_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def ended(self, run_id: str) -> dict[str, Any]:
        """Wait until a run has ended, and give it."""

        async def look() -> dict[str, Any] | None:
            run = await self.run(run_id)
            return run if run["state"] in ENDED else None

        return dict(await eventually(look, f"run {run_id} to end"))


class RunnerHandle:
    """A runner in this process: stop it, wait for it."""

    def __init__(self, stop: Stop, task: asyncio.Task[None], runner: Runner) -> None:
        self._stop = stop
        self.task = task
        self._runner = runner

    @property
    def names(self) -> set[str]:
        """Its names, one a partition."""
        return set(self._runner.names.values())

    async def stopped(self) -> None:
        self._stop.set()
        await self.task


async def _run(runner: Runner, store: Store) -> None:
    try:
        await runner.run()
    finally:
        await store.close()


@pytest.fixture(params=[1, 3], ids=["one partition", "cluster of 3"])
def engine_settings(request: pytest.FixtureRequest) -> Settings:
    url = request.getfixturevalue("redis_server" if request.param == 1 else "redis_cluster")
    return Settings(
        redis_url=url, partitions=request.param, lease_seconds=1.5, grace_seconds=5, runner_slots=60
    )


@pytest.fixture
async def engine(engine_settings: Settings) -> AsyncIterator[Engine]:
    """An engine with one scheduler; tests start the runners. Afterwards nothing may be left behind."""
    async with Lab.opened(engine_settings) as lab:
        await lab.leave()  # it only looks on
        app = create_app(engine_settings)
        async with _lifespan(app), asyncio.TaskGroup() as group:
            transport = httpx2.ASGITransport(app=app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://engine") as http:
                made = Engine(engine_settings, app, http, group)
                await eventually(lambda: _ready(http), "the api to be ready")
                made.scheduler()
                try:
                    yield made
                finally:
                    made.stop()
        await assert_nothing_leaked(lab)


@contextlib.asynccontextmanager
async def _lifespan(app: Any) -> AsyncIterator[None]:
    async with app.router.lifespan_context(app):
        yield


async def _ready(http: httpx2.AsyncClient) -> bool:
    return (await http.get("/health/ready")).status_code == 200


async def assert_nothing_leaked(lab: Lab) -> None:
    """Streams and pending lists are empty, no consumer is left, and every key has a TTL or an owner."""
    store = lab.store
    owned = {b"partitions", store.partitions[0].catalog.encode()}
    for keys in store.partitions:
        for stream, group in (
            (keys.tasks, RUNNERS),
            (keys.workflows, SCHEDULERS),
            (keys.reports, SCHEDULERS),
        ):
            assert await lab.redis.xrange(stream) == [], f"{stream} is not empty"
            assert await lab.pending(stream, group) == 0, f"{stream} has pending entries"
            assert await lab.redis.xinfo_consumers(stream, group) == []
            owned.add(stream.encode())
        owned |= {keys.sweep.encode(), keys.dead_letters.encode()}
        owned |= {keys.runs.encode(), *(keys.runs_in(s).encode() for s in ("success", "failed"))}  # type: ignore[arg-type]
        assert not await lab.redis.exists(keys.runs_in("running")), "a run has not ended"  # type: ignore[arg-type]
    for key in await all_keys(lab):
        if key not in owned:
            assert await lab.redis.ttl(key) > 0, f"{key!r} has neither TTL nor owner"


async def all_keys(lab: Lab) -> list[bytes]:
    options = {"target_nodes": "all"} if len(lab.store.partitions) > 1 else {}
    return list(await lab.redis.keys("*", **options))


def stages(text: str) -> list[dict[str, Any]]:
    return list(json.loads(text))
