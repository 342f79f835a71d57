"""A TCP proxy before Redis that knows which reply belongs to which request, and can hold or cut either.

Each client that a test wants to harm gets a proxy of its own. Faults are armed by what a request is
(`command("XREADGROUP")`, `script("finish_task")`) and happen once.
"""

import contextlib
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Self

from millstream.scripts.loader import load
from servers import wait_until

Words = list[bytes]
Matches = Callable[[Words], bool]
HELD_SECONDS = 120.0
ANSWER_SECONDS = 10.0


class Refusal(str):
    """An error that Redis answered."""

    __slots__ = ()


class Value(NamedTuple):
    """A value of the protocol and the offset at which it ends."""

    found: Any
    end: int


def parse(data: bytes, at: int = 0) -> Value | None:
    """One RESP2 value, request or reply, from an offset on; None when it is not all there yet."""
    line_end = data.find(b"\r\n", at)
    if line_end < 0:
        return None
    kind, line, end = data[at : at + 1], data[at + 1 : line_end], line_end + 2
    match kind:
        case b"+" | b":":
            return Value(line, end)
        case b"-":
            return Value(Refusal(line.decode()), end)
        case b"$":
            return _bulk(data, end, int(line))
        case b"*":
            return _array(data, end, int(line))
    raise ValueError(f"not the protocol: {data[at : at + 40]!r}")


def _bulk(data: bytes, at: int, size: int) -> Value | None:
    if size < 0:
        return Value(None, at)
    end = at + size + 2
    return Value(data[at : end - 2], end) if len(data) >= end else None


def _array(data: bytes, at: int, size: int) -> Value | None:
    if size < 0:
        return Value(None, at)
    items = []
    for _ in range(size):
        item = parse(data, at)
        if item is None:
            return None
        items.append(item.found)
        at = item.end
    return Value(items, at)


def command(name: str) -> Matches:
    """Match a command by its name."""
    return lambda words: words[0].upper() == name.encode()


def script(name: str) -> Matches:
    """Match a call of one of the engine's scripts."""
    sha = load(name).sha.encode()
    return lambda words: words[0].upper() == b"EVALSHA" and words[1] == sha


class Fault:
    """Something that happens to one request or its reply."""

    def __init__(self, matches: Matches, skip: int) -> None:
        self.matches, self.skip = matches, skip
        self.words: Words = []
        self._happened, self._released, self._answered = (threading.Event() for _ in range(3))
        self._answer: Any = None

    def takes(self, words: Words) -> bool:
        if not self.matches(words):
            return False
        self.skip -= 1
        return self.skip < 0

    def happen(self, words: Words) -> None:
        self.words = words
        self._happened.set()

    @property
    def happened(self) -> bool:
        return self._happened.is_set()

    def wait(self, seconds: float = 30.0) -> Self:
        """Wait until it has happened."""
        wait_until(lambda: self.happened, "the fault to happen", seconds)
        return self

    def release(self) -> None:
        """Let a held request go on its way, even if its sender has died meanwhile."""
        self._released.set()

    def hold(self) -> None:
        if not self._released.wait(HELD_SECONDS):
            raise TimeoutError("a held request was never released")

    def hear(self) -> None:
        """Wait for the answer, because a sender that is dead would have the connection closed before it comes."""
        self._answered.wait(ANSWER_SECONDS)

    def answered(self, answer: Any) -> None:
        self._answer = answer
        self._answered.set()

    def answer(self, seconds: float = 30.0) -> Any:
        """Wait for what Redis said to a request that was held and released, heard by its sender or not."""
        wait_until(self._answered.is_set, "Redis to answer what was held", seconds)
        return self._answer


class Proxy:
    """Listens on a port of its own before the Redis on another. Closing cuts everything."""

    def __init__(self, redis_port: int) -> None:
        self._redis_port = redis_port
        self._lock = threading.Lock()
        self._holds: list[Fault] = []
        self._cuts: list[Fault] = []
        self._links: set[_Link] = set()
        self._away = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def hold(self, matches: Matches, skip: int = 0) -> Fault:
        """Keep the next matching request, after `skip` others, from Redis until its fault is released."""
        return self._arm(self._holds, Fault(matches, skip))

    def cut_reply(self, matches: Matches, skip: int = 0) -> Fault:
        """Let Redis execute the next matching request and cut the connection before its reply.

        A reply that carries nothing (nothing was read in time) or an error is passed on and does not count.
        """
        return self._arm(self._cuts, Fault(matches, skip))

    def _arm(self, faults: list[Fault], fault: Fault) -> Fault:
        with self._lock:
            faults.append(fault)
        return fault

    def _taken(self, faults: list[Fault], words: Words) -> Fault | None:
        with self._lock:
            fault = next((fault for fault in faults if fault.takes(words)), None)
            if fault is not None:
                faults.remove(fault)
            return fault

    def held(self, words: Words) -> Fault | None:
        return self._taken(self._holds, words)

    def cut(self, words: Words, reply: Any) -> Fault | None:
        carries = bool(reply) and not isinstance(reply, Refusal)
        return self._taken(self._cuts, words) if carries else None

    def sever(self) -> None:
        """Cut every connection and let none through, as when the network is gone."""
        self._away = True
        self._cut_all()

    def restore(self) -> None:
        self._away = False

    def _cut_all(self) -> None:
        with self._lock:
            links = list(self._links)
        for link in links:
            link.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                try:
                    redis = None if self._away else socket.create_connection(("127.0.0.1", self._redis_port))
                except OSError:
                    redis = None
                if redis is None:
                    client.close()
                else:
                    self._link(client, redis)

    def _link(self, client: socket.socket, redis: socket.socket) -> None:
        link = _Link(self, client, redis)
        with self._lock:
            self._links.add(link)
        link.start()
        if self._away:
            link.cut()

    def gone(self, link: "_Link") -> None:
        with self._lock:
            self._links.discard(link)

    def close(self) -> None:
        self.sever()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for fault in self._holds:
            fault.release()


class _Link:
    """One client's connection and the one that was opened to Redis for it, a thread for each direction."""

    def __init__(self, proxy: Proxy, client: socket.socket, redis: socket.socket) -> None:
        self._proxy, self._client, self._redis = proxy, client, redis
        self._asked: deque[tuple[Words, Fault | None]] = deque()
        self._running = 2
        self._lock = threading.Lock()

    def start(self) -> None:
        for work in (self._requests, self._replies):
            threading.Thread(target=self._direction, args=(work,), daemon=True).start()

    def cut(self) -> None:
        for end in (self._client, self._redis):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _direction(self, work: Callable[[], None]) -> None:
        with contextlib.suppress(OSError):
            work()
        self.cut()
        with self._lock:
            self._running -= 1
            if self._running:
                return
        self._client.close()
        self._redis.close()
        self._proxy.gone(self)

    def _requests(self) -> None:
        data = b""
        while more := self._client.recv(1 << 16):
            data += more
            while (request := parse(data)) is not None:
                fault = self._proxy.held(request.found)
                if fault is not None:
                    fault.happen(request.found)
                    fault.hold()
                self._asked.append((request.found, fault))
                self._redis.sendall(data[: request.end])
                data = data[request.end :]
                if fault is not None:
                    fault.hear()

    def _replies(self) -> None:
        data = b""
        while more := self._redis.recv(1 << 16):
            data += more
            while (reply := parse(data)) is not None:
                words, held = self._asked.popleft()
                if held is not None:
                    held.answered(reply.found)
                fault = self._proxy.cut(words, reply.found)
                if fault is not None:
                    fault.happen(words)
                    self.cut()
                    return
                self._client.sendall(data[: reply.end])
                data = data[reply.end :]
