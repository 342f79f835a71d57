"""The HTTP load: a process of its own that posts over many kept connections at once."""

import asyncio
import time
from collections import Counter
from typing import Any, cast

import uvloop

from bench import http1
from bench.processes import answer_questions

LIMIT_SECONDS = 120.0


class Poster(asyncio.Protocol):
    """One connection: posts, waits for the answer, posts again, until all requests of all are sent."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it

    def post(self) -> None:
        if self._load.to_send:
            self._load.to_send -= 1
            self._transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        status = http1.status_of(self._received)
        if status is not None:
            self._received = b""
            self._load.answered(status.decode())
            self.post()

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost(exc)


class Load:
    """Connections that are opened once and used for every measurement."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._posters: list[Poster] = []
        self.request = b""
        self.to_send = 0
        self._ended: asyncio.Future[None] | None = None

    def open(self, port: int, connections: int, body: Any) -> dict[str, int]:
        self.request = http1.post("/workflow", body)
        self._runner.run(self._open(port, connections))
        return {"connections": len(self._posters)}

    async def _open(self, port: int, connections: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            _, poster = await loop.create_connection(lambda: Poster(self), "127.0.0.1", port)
            self._posters.append(poster)

    def post(self, requests: int) -> dict[str, Any]:
        """Post so many; gives the seconds, and how often each status was answered."""
        self._statuses: Counter[str] = Counter()
        self._requests = self.to_send = requests
        began = time.monotonic()
        self._runner.run(self._post())
        return {"seconds": time.monotonic() - began, "statuses": dict(self._statuses)}

    async def _post(self) -> None:
        self._ended = asyncio.get_running_loop().create_future()
        for poster in self._posters:
            poster.post()
        async with asyncio.timeout(LIMIT_SECONDS):
            await self._ended

    def answered(self, status: str) -> None:
        self._statuses[status] += 1
        if self._ended and self._statuses.total() == self._requests:
            self._ended.set_result(None)

    def lost(self, error: Exception | None) -> None:
        if self._ended and not self._ended.done():
            self._ended.set_exception(error or ConnectionError("the api closed a connection"))


if __name__ == "__main__":
    load = Load()
    answer_questions({"open": load.open, "post": load.post})
