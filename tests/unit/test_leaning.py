"""What Millstream leans on inside redis-py and uvicorn, and none of them promises to keep: a bump must not lose it."""

import asyncio
import importlib.metadata
import inspect
import socket
from collections.abc import Generator
from contextlib import contextmanager

import pytest
import uvicorn
from packaging.requirements import Requirement
from packaging.version import Version
from redis import _parsers, exceptions
from redis.asyncio.connection import Connection, SSLConnection, parse_url
from redis.crc import key_slot

from unit.test_house import FILES, used

TRANSPORT = (
    "store/wire.py takes over Connection._writer.transport of redis-py, an asyncio.Transport, after connect()"
)
SILENT = (
    "store/connection.py opens with driver_info=None, so that redis-py says and looks up nothing of itself"
)
REFUSALS = "store/wire.py has hiredis make refusals with redis._parsers.BaseParser.parse_error"
URLS = "store/connection.py reads URLs with redis.asyncio.connection.parse_url"
SLOTS = "store/connection.py finds a key's slot with redis.crc.key_slot"
EXIT = "health.py replaces should_exit, which uvicorn.Server sets in __init__ and only reads later"
LOOP = "health.py replaces main_loop, in which uvicorn.Server.serve() waits until it shall exit"
TICK = "health.py calls on_tick(0) of uvicorn.Server, which renews the Date header and says whether to exit"
SIGNALS = "health.py replaces capture_signals, in which uvicorn.Server.serve() does all that it does"


async def opened(received: list[bytes]) -> tuple[Connection, asyncio.Server]:
    """A connection as ours are opened, to a server that never answers."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connection = Connection(host="127.0.0.1", port=port, protocol=2, driver_info=None)
    async with asyncio.timeout(10):
        await connection.connect()  # type: ignore[no-untyped-call]
    return connection, server


async def test_the_transport_of_a_connection_can_be_taken_over() -> None:
    heard = asyncio.Event()

    class Ours(asyncio.Protocol):
        def connection_lost(self, _exc: Exception | None) -> None:
            heard.set()

    connection, server = await opened([])
    async with server:
        transport = getattr(getattr(connection, "_writer", None), "transport", None)
        assert isinstance(transport, asyncio.Transport), TRANSPORT
        transport.set_protocol(Ours())
        transport.abort()
        async with asyncio.timeout(10):
            await heard.wait()
            await connection.disconnect(nowait=True)


async def test_a_connection_says_nothing_by_itself() -> None:
    received: list[bytes] = []
    connection, server = await opened(received)
    async with server, asyncio.timeout(10):
        await connection.disconnect()
        while not received:
            await asyncio.sleep(0)
    assert received == [b""], SILENT


@pytest.mark.parametrize(
    ("said", "kind", "text"),
    [
        ("NOPERM no permission", exceptions.NoPermissionError, "no permission"),
        ("LOADING Redis is loading", exceptions.BusyLoadingError, "Redis is loading"),
        ("READONLY no writes", exceptions.ReadOnlyError, "no writes"),
        ("NOSCRIPT No matching script.", exceptions.NoScriptError, "No matching script."),
        ("OOM command not allowed", exceptions.OutOfMemoryError, "command not allowed"),
        ("BUSYGROUP exists", exceptions.ResponseError, "BUSYGROUP exists"),
    ],
)
def test_a_refusal_is_an_exception_of_redis_py(said: str, kind: type[Exception], text: str) -> None:
    parse = getattr(getattr(_parsers, "BaseParser", None), "parse_error", None)
    assert parse is not None, REFUSALS
    assert (type(parse(said)), str(parse(said))) == (kind, text), REFUSALS


def test_a_url_becomes_the_options_of_a_connection() -> None:
    whole = {"username": "me", "password": "p@ss", "host": "redis.internal", "port": 1234, "db": 5}
    assert parse_url("redis://me:p%40ss@redis.internal:1234/5") == whole, URLS
    secure = parse_url("rediss://redis.internal?ssl_ca_certs=ca.pem")
    assert secure == {
        "host": "redis.internal",
        "connection_class": SSLConnection,
        "ssl_ca_certs": "ca.pem",
    }, URLS
    with pytest.raises(ValueError, match="scheme"):
        parse_url("http://redis.internal")


def test_the_slot_of_a_key_is_that_of_its_braces() -> None:
    assert [key_slot(key) for key in (b"foo", b"bar", b"a{foo}b")] == [12182, 5061, 12182], SLOTS


class Watched(uvicorn.Server):
    """Tells when uvicorn calls what Millstream replaces."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        super().__init__(uvicorn.Config(self.app, port=0, log_config=None, lifespan="off"))

    async def app(self, scope: object, receive: object, send: object) -> None:
        """Never called."""

    async def main_loop(self) -> None:
        self.calls.append("loop begins" if self.started else "loop begins too early")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.calls.append("shutdown")
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        self.calls.append("signals captured")
        yield
        self.calls.append("signals let go")


async def test_a_server_waits_in_its_main_loop_and_captures_signals_around_all() -> None:
    server = Watched()
    async with asyncio.timeout(10):
        await server.serve()
    assert server.calls[:1] == ["signals captured"], SIGNALS
    assert server.calls[-1:] == ["signals let go"], SIGNALS
    assert server.calls[1:-1] == ["loop begins", "shutdown"], LOOP


async def test_a_tick_renews_the_date_and_says_whether_to_exit() -> None:
    server = Watched()
    server.config.load()
    assert [*inspect.signature(uvicorn.Server.on_tick).parameters] == ["self", "counter"], TICK
    assert await server.on_tick(0) is False, TICK
    assert b"date" in dict(server.server_state.default_headers), TICK
    server.should_exit = True
    assert await server.on_tick(0) is True, TICK


def test_the_wish_to_exit_is_an_attribute_that_a_property_can_replace() -> None:
    assert vars(Watched()).get("should_exit") is False, EXIT
    assert not hasattr(uvicorn.Server, "should_exit"), EXIT


def test_nothing_else_that_is_private_is_imported() -> None:
    private = {
        name
        for path in FILES
        for name in used(path.read_text())
        if any(part.startswith("_") and not part.startswith("__") for part in name.split(".")[:2])
        and name.split(".")[0] in {"redis", "hiredis", "uvicorn", "fastapi", "starlette"}
    }
    assert {name for name in private if not name.startswith("redis._parsers.BaseParser")} == set()


@pytest.mark.parametrize("package", ["redis", "uvicorn"])
def test_what_is_leaned_on_has_an_upper_bound(package: str) -> None:
    needs = [Requirement(text) for text in importlib.metadata.requires("millstream") or ()]
    (need,) = [each for each in needs if each.name == package and each.marker is None]
    (bound,) = [Version(each.version) for each in need.specifier if each.operator == "<"]
    installed = Version(importlib.metadata.version(package))
    assert installed < bound, "the installed one is beyond what pyproject.toml allows"
    assert bound.release[:2] == (installed.major, installed.minor + 1), (
        "each minor version is tried by itself"
    )
