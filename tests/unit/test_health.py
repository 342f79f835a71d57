"""Health over HTTP: what is answered, and a server that waits without waking."""

from email.utils import parsedate_to_datetime

import httpx2

from millstream.process.health import Health, serving
from millstream.process.lifecycle import Progress
from ports import free_port


class House:
    """A process that makes progress, or not, on a Redis that answers, or not."""

    def __init__(self) -> None:
        self.redis_answers = True
        self.stall_seconds = 3600.0
        self.preparing = False

    async def get(self, path: str) -> httpx2.Response:
        async def ping() -> bool:
            return self.redis_answers

        port = free_port()
        health = Health([Progress()], self.stall_seconds, ping)
        health.preparing = self.preparing
        async with (
            serving(health, "127.0.0.1", port),
            httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
        ):
            while True:
                try:
                    return await client.get(path)
                except httpx2.ConnectError:
                    continue  # it does not listen yet


async def test_a_process_that_makes_progress_lives_whatever_redis_does() -> None:
    house = House()
    house.redis_answers = False
    live, ready = await house.get("/health/live"), await house.get("/health/ready")
    assert (live.status_code, live.json()["status"]) == (200, "live")
    assert (ready.status_code, ready.json()) == (503, {"status": "redis unreachable"})


async def test_a_process_that_stands_still_does_not_live() -> None:
    house = House()
    house.stall_seconds = -1
    assert (await house.get("/health/live")).json()["status"] == "stalled"
    assert (await house.get("/health/ready")).json() == {"status": "ready"}


async def test_answers_are_dated() -> None:
    assert parsedate_to_datetime((await House().get("/elsewhere")).headers["date"]).year > 2000


async def test_a_process_that_prepares_is_not_ready_and_lives() -> None:
    house = House()
    house.preparing = True
    live, ready = await house.get("/health/live"), await house.get("/health/ready")
    assert live.status_code == 200
    assert (ready.status_code, ready.json()) == (503, {"status": "preparing"})
