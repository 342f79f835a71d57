"""Health over HTTP for scheduler and runner: /health/live and /health/ready.

Live is the progress of the process, never Redis: a Redis that is away must not make Kubernetes restart
everything. Ready is Redis answering, once the process has prepared what others rely on: a runner that is ready has
offered its tasks.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final

import orjson
import uvicorn

from millstream.process.lifecycle import Progress

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Answer = tuple[int, dict[str, Any]]
DATE_SECONDS: Final = 1.0


class Health:
    """What a process answers when asked how it is."""

    def __init__(
        self, loops: Sequence[Progress], stall_seconds: float, ping: Callable[[], Awaitable[bool]]
    ) -> None:
        self._loops = loops
        self._stall_seconds = stall_seconds
        self._ping = ping
        self.preparing = False

    def live(self) -> Answer:
        """Answer 200 while every loop has gone round within the stall limit."""
        age = max((progress.age() for progress in self._loops), default=0.0)
        alive = age <= self._stall_seconds
        return (200 if alive else 503), {
            "status": "live" if alive else "stalled",
            "last_progress_seconds": round(age, 3),
        }

    async def ready(self) -> Answer:
        """Answer 200 while Redis answers and nothing is being prepared any more."""
        if not await self._ping():
            return 503, {"status": "redis unreachable"}
        return (503, {"status": "preparing"}) if self.preparing else (200, {"status": "ready"})

    async def __call__(self, scope: dict[str, Any], _receive: Receive, send: Send) -> None:
        """Serve as an ASGI application."""
        if scope["type"] != "http":
            return
        if scope["path"] == "/health/live":
            status, body = self.live()
        elif scope["path"] == "/health/ready":
            status, body = await self.ready()
        else:
            status, body = 404, {"detail": "Not Found"}
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": orjson.dumps(body)})


class QuietServer(uvicorn.Server):
    """A uvicorn that leaves signals to the process it serves in, and that waits quietly.

    uvicorn's own loop wakes ten times a second to look whether it shall exit: 0.17 % of a core in every process.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        self._exit = asyncio.Event()
        super().__init__(config)

    @property
    def should_exit(self) -> bool:
        """Whether it was asked to exit; setting it ends the wait at once."""
        return self._exit.is_set()

    @should_exit.setter
    def should_exit(self, asked: bool) -> None:
        if asked:
            self._exit.set()

    async def main_loop(self) -> None:
        """Wait until asked to exit; the Date header of answers is renewed every second."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DATE_SECONDS):
                    await self._exit.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@contextlib.asynccontextmanager
async def serving(health: Health, host: str, port: int) -> Any:
    """Serve health on a port while the block runs; port 0 serves none."""
    if port == 0:
        yield
        return
    config = uvicorn.Config(health, host=host, port=port, log_config=None, lifespan="off", access_log=False)
    server = QuietServer(config)
    task = asyncio.create_task(server.serve())
    try:
        yield
    finally:
        server.should_exit = True
        await task
