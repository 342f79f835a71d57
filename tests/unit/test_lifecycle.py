"""What is done again and again: until asked to stop, and also after Redis was away."""

from millstream.errors import RedisUnavailableError
from millstream.process.lifecycle import Stop, periodically


class Work:
    """Does what its script says, and asks to stop at its end."""

    def __init__(self, *script: float | Exception) -> None:
        self.stop = Stop()
        self.left = list(script)

    async def do(self) -> float:
        says = self.left.pop(0)
        if not self.left:
            self.stop.set()
        if isinstance(says, Exception):
            raise says
        return says


async def test_it_goes_on_until_asked_to_stop() -> None:
    work = Work(0.0, 0.001, 3600.0)
    await periodically(work.do, work.stop, doing="work", retry_seconds=3600)
    assert work.left == []


async def test_it_goes_on_when_redis_was_away() -> None:
    away = RedisUnavailableError("away")
    work = Work(away, 0.0, away, away, 0.0)
    await periodically(work.do, work.stop, doing="work", retry_seconds=0)
    assert work.left == []


async def test_it_does_nothing_when_asked_to_stop_before() -> None:
    work = Work(0.0)
    work.stop.set()
    await periodically(work.do, work.stop, doing="work", retry_seconds=0, first=3600)
    assert work.left == [0.0]
