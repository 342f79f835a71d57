"""A raw connection to Redis: bytes out, answers in.

redis-py opens it (URL, TLS, user, database), then its transport is ours: a protocol that feeds hiredis
takes 12 to 17 µs of CPU a round trip, redis-py's streams with a timeout around them 21 to 57, and every
step of an idle chain takes three.
"""

import asyncio
from typing import Any, Final

import hiredis
from redis import exceptions
from redis._parsers import BaseParser
from redis.asyncio.connection import Connection

Word = str | bytes | int | float
CLOSED: Final = "Redis closed the connection"


def packed(*words: Word) -> bytes:
    """Write a command as Redis reads it."""
    return hiredis.pack_command(words)  # type: ignore[arg-type,no-any-return]


class Wire(asyncio.Protocol):
    """Asks one question at a time. After a failed or cancelled one it must be closed: its answer may still come."""

    def __init__(self, connection: Connection) -> None:
        """Take over a connection that redis-py has opened, and that has nothing on its way."""
        self._connection = connection
        self._transport: asyncio.Transport = connection._writer.transport  # type: ignore[union-attr,assignment] # noqa: SLF001
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(replyError=BaseParser.parse_error)
        self._answers: list[Any] = []
        self._wanted = 0
        self._waiter: asyncio.Future[None] | None = None
        self._seconds = 0.0
        self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._transport.set_protocol(self)

    async def ask(self, data: bytes, count: int, seconds: float) -> list[Any]:
        """Write some commands and give as many answers; a refusal is an answer, as redis-py's exception.

        Raises TimeoutError when Redis has been silent for so many seconds, redis-py's ConnectionError when it
        closes the connection or says what is not its protocol.
        """
        if self._is_closed or self._answers:  # what nobody has asked for would be taken for the answer
            raise exceptions.ConnectionError(CLOSED)
        self._wanted, self._seconds, self._heard = count, seconds, self._loop.time()
        self._waiter = self._loop.create_future()
        self._transport.write(data)
        self._timer = self._loop.call_later(seconds, self._look)
        try:
            await self._waiter
        finally:
            self._timer.cancel()
            self._waiter = None
        answers, self._answers = self._answers, []
        return answers

    async def call(self, *words: Word, seconds: float) -> Any:
        """Give the answer to one command. Raises what `ask` does, and a refusal."""
        (answer,) = await self.ask(packed(*words), 1, seconds)
        return raised(answer)

    def _look(self) -> None:
        """Give up, unless something has been heard meanwhile: a large answer takes its time."""
        left = self._heard + self._seconds - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._fail(TimeoutError(f"Redis did not answer within {self._seconds:g} s"))

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    def data_received(self, data: bytes) -> None:
        """Take what came (asyncio calls this)."""
        self._heard = self._loop.time()
        reader, answers = self._reader, self._answers
        try:
            reader.feed(data)
            while (answer := reader.gets()) is not False:
                answers.append(answer)
        except hiredis.HiredisError as error:
            self._fail(exceptions.InvalidResponse(str(error)))
            return
        if len(answers) >= self._wanted and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Hear that the connection is gone (asyncio calls this)."""
        self._is_closed = True
        self._fail(exceptions.ConnectionError(f"{CLOSED}: {exc}" if exc else CLOSED))

    async def close(self) -> None:
        """Drop the connection, whatever is on its way."""
        self._is_closed = True
        self._transport.abort()
        await self._connection.disconnect(nowait=True)


def raised(answer: Any) -> Any:
    """Raise an answer that is a refusal; give any other."""
    if isinstance(answer, Exception):
        raise answer
    return answer
