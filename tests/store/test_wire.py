"""The raw connection, on a real Redis, and on servers that misbehave."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from redis import exceptions
from redis.asyncio.connection import Connection

from lab import Lab
from millstream.redis.wire import Wire, packed, raised

SECONDS = 5.0
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def wire(lab: Lab) -> AsyncIterator[Wire]:
    wire = await lab.store.connector.connect(lab.keys.tasks)
    yield wire
    await wire.close()


async def misbehaving(serve: Serve) -> tuple[asyncio.Server, Wire]:
    """A server that lets a client enter, and then does as it is told."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connection = Connection(host="127.0.0.1", port=port, protocol=2, driver_info=None)
    await connection.connect()  # type: ignore[no-untyped-call]
    return server, Wire(connection)


async def test_answers_come_in_order_and_a_refusal_is_one_of_them(lab: Lab, wire: Wire) -> None:
    missing = packed("HGET", lab.ref.record, "x")
    questions = packed("ECHO", "a") + packed("NOSUCH") + packed("ECHO", b"\xff\r\n") + missing
    first, refusal, second, nothing = await wire.ask(questions, 4, SECONDS)
    assert (first, second, nothing) == (b"a", b"\xff\r\n", None)
    with pytest.raises(exceptions.ResponseError, match="unknown command"):
        raised(refusal)
    assert await wire.call("ECHO", "again", seconds=SECONDS) == b"again"


async def test_a_refusal_is_of_redis_pys_class(wire: Wire) -> None:
    with pytest.raises(exceptions.NoScriptError):
        await wire.call("EVALSHA", "0" * 40, 0, seconds=SECONDS)


async def test_an_answer_may_be_large(wire: Wire) -> None:
    assert await wire.call("ECHO", b"x" * 5_000_000, seconds=SECONDS) == b"x" * 5_000_000


async def test_a_connection_that_redis_closes_fails_what_waits_and_all_that_follows(
    lab: Lab, wire: Wire
) -> None:
    number = await wire.call("CLIENT", "ID", seconds=SECONDS)
    waiting = asyncio.create_task(wire.call("BLPOP", f"{lab.keys.tasks}-never", 0, seconds=60.0))
    other = await lab.store.connector.connect(lab.keys.tasks)
    while b"cmd=blpop" not in await other.call("CLIENT", "LIST", "ID", number, seconds=SECONDS):
        await asyncio.sleep(0.01)  # until Redis has the command
    await other.call("CLIENT", "KILL", "ID", number, seconds=SECONDS)
    await other.close()
    for question in (waiting, wire.call("PING", seconds=SECONDS)):
        with pytest.raises(exceptions.ConnectionError):
            await question


async def test_a_silent_server_is_given_up() -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    server, wire = await misbehaving(silent)
    with pytest.raises(TimeoutError, match=r"0\.05 s"):
        await wire.call("PING", seconds=0.05)
    await wire.close()
    server.close()


async def test_what_is_not_redis_is_told_apart() -> None:
    async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()

    server, wire = await misbehaving(http)
    with pytest.raises(exceptions.InvalidResponse):
        await wire.call("PING", seconds=SECONDS)
    await wire.close()
    server.close()
