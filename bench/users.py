"""Users of the api: a process of its own that asks over kept HTTP connections, at a pace or all at once."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import orjson
import uvloop

from bench import http1
from bench.processes import answer_questions
from bench.workflows import Stages

LIMIT_SECONDS: Final = 300.0
ENDED: Final = {"success", "failed", "skipped", "cancelled"}


class Users:
    """Answers the bench's questions. Every request must be answered with 200."""

    def __init__(self) -> None:
        self._loop = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._free: deque[http1.Line] = deque()

    async def _ask(self, port: int, request: bytes) -> bytes:
        while self._free and not self._free[0].is_open:
            self._free.popleft()
        line = self._free.popleft() if self._free else await http1.Line.open(port)
        status, body = await line.ask(request)
        if status != http1.OK:
            raise RuntimeError(f"the api answered {status.decode()}: {body[:200].decode(errors='replace')}")
        self._free.append(line)
        return body

    def live(
        self, port: int, rate: float, seconds: float, stages: Stages, poll_seconds: float
    ) -> dict[str, int]:
        """Submit so many runs a second, for so long, and ask for the status of each until it has ended."""
        return self._loop.run(self._live(port, rate, round(rate * seconds), stages, poll_seconds))

    async def _live(
        self, port: int, rate: float, runs: int, stages: Stages, poll_seconds: float
    ) -> dict[str, int]:
        loop, post = asyncio.get_running_loop(), http1.post("/workflow", {"workflow": stages})
        began = loop.time()
        async with asyncio.timeout(LIMIT_SECONDS), asyncio.TaskGroup() as group:
            asking = []
            for number in range(runs):
                await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
                asking.append(group.create_task(self._follow(port, post, poll_seconds)))
        return {"runs": runs, "polls": sum(task.result() for task in asking)}

    async def _follow(self, port: int, post: bytes, poll_seconds: float) -> int:
        run_id = orjson.loads(await self._ask(port, post))["run_id"]
        look, polls, states = http1.get(f"/workflow/{run_id}/status"), 0, {""}
        while not states <= ENDED:
            await asyncio.sleep(poll_seconds)
            states, polls = set(orjson.loads(await self._ask(port, look)).values()), polls + 1
        return polls

    def large(
        self, port: int, first: int, requests: int, at_once: int, tasks: int, body_bytes: int
    ) -> dict[str, int]:
        """Post workflows of so many tasks in a chain, each with ids of its own; blanks fill the body up."""

        async def one(number: int) -> int:
            names = [{"task": "noop", "id": f"{number}-{n}-{'x' * 64}"} for n in range(tasks)]
            body = {"workflow": [{"type": "sequential", "tasks": names}]}
            await self._ask(port, http1.post("/workflow", body, body_bytes))
            return 1

        return self._loop.run(_all_of(one, range(first, first + requests), at_once))

    def whole(self, port: int, run_id: str, requests: int, at_once: int) -> dict[str, int]:
        """Ask for everything of a run; gives the bytes of all answers."""

        async def one(_: int) -> int:
            return len(await self._ask(port, http1.get(f"/workflow/{run_id}")))

        return self._loop.run(_all_of(one, range(requests), at_once))


async def _all_of(one: Callable[[int], Awaitable[int]], numbers: range, at_once: int) -> dict[str, int]:
    places = asyncio.Semaphore(at_once)

    async def in_turn(number: int) -> int:
        async with places:
            return await one(number)

    async with asyncio.timeout(LIMIT_SECONDS):
        return {"sum": sum(await asyncio.gather(*map(in_turn, numbers)))}


if __name__ == "__main__":
    users = Users()
    answer_questions({"live": users.live, "large": users.large, "whole": users.whole})
