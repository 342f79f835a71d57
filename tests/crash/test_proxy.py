"""The proxy of the crash tests does what it is told, so that what they show is known to have happened."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from proxy import Fault, Proxy, Refusal, command, parse
from servers import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("redis"))
    yield made
    made.stop()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server.port) as made:
        yield made


@pytest.fixture
def direct(server: Server) -> Iterator[Any]:
    with redis.Redis(port=server.port) as client:
        client.flushall()
        yield client


@pytest.fixture
def through(proxy: Proxy, direct: Any) -> Iterator[Any]:
    """A client behind the proxy that tries once."""
    with redis.Redis(port=proxy.port, retry=Retry(NoBackoff(), 0), protocol=2) as client:
        yield client


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"+OK\r\n", b"OK"),
        (b":12\r\n", b"12"),
        (b"$5\r\na\r\nbc\r\n", b"a\r\nbc"),
        (b"$0\r\n\r\n", b""),
        (b"$-1\r\n", None),
        (b"*-1\r\n", None),
        (b"*0\r\n", []),
        (b"*2\r\n$1\r\na\r\n*2\r\n:1\r\n$-1\r\n", [b"a", [b"1", None]]),
        (b"-OOM no\r\n", Refusal("OOM no")),
    ],
)
def test_a_value_is_read_when_all_of_it_is_there(data: bytes, found: object) -> None:
    value = parse(data + b"+next\r\n")
    assert value is not None
    assert (value.found, value.end) == (found, len(data))
    assert all(parse(data[:size]) is None for size in range(len(data)))


def test_what_no_fault_concerns_passes_in_order(through: Any) -> None:
    big = b"x" * 300_000
    with through.pipeline(transaction=False) as several:
        for n in range(50):
            several.set(f"key-{n}", big if n == 20 else n).get(f"key-{n}")
        answers = several.execute()
    assert answers[41] == big
    assert answers[1::2][:20] == [str(n).encode() for n in range(20)]


def test_a_cut_reply_was_executed_once_and_the_next_request_passes(
    proxy: Proxy, through: Any, direct: Any
) -> None:
    fault = proxy.cut_reply(command("INCRBY"))
    with pytest.raises(redis.ConnectionError):
        through.incr("count")
    assert fault.happened
    assert direct.get("count") == b"1"
    assert through.incr("count") == 2


def test_a_reply_that_carries_nothing_is_not_cut(proxy: Proxy, through: Any, direct: Any) -> None:
    fault = proxy.cut_reply(command("GET"))
    assert through.get("nothing") is None
    direct.lpush("list", 1)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        through.get("list")
    assert not fault.happened


def test_only_the_reply_that_is_meant_is_cut_from_a_batch(proxy: Proxy, through: Any, direct: Any) -> None:
    fault = proxy.cut_reply(command("INCRBY"), skip=1)
    with pytest.raises(redis.ConnectionError), through.pipeline(transaction=False) as several:
        several.incr("a").set("b", 1).incr("c").execute()
    assert fault.words == [b"INCRBY", b"c", b"1"]


def test_a_held_request_waits_and_arrives_even_after_its_sender_died(
    proxy: Proxy, through: Any, direct: Any
) -> None:
    fault: Fault = proxy.hold(command("SET"))
    with ThreadPoolExecutor() as threads:
        asking = threads.submit(through.set, "key", "late")
        fault.wait()
        assert direct.get("key") is None
        through.connection_pool.disconnect()
        fault.release()
        asking.exception(10)
    assert fault.answer() == b"OK"
    assert direct.get("key") == b"late"


def test_a_severed_proxy_lets_nothing_through_until_it_is_restored(proxy: Proxy, through: Any) -> None:
    assert through.ping()
    proxy.sever()
    for _ in range(3):
        with pytest.raises(redis.ConnectionError):
            through.ping()
    proxy.restore()
    assert through.ping()
