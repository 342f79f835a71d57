"""As little HTTP/1.1 as a load generator needs: one request at a time on a kept connection."""

import asyncio
import json
import re
import socket
from typing import Final, Self

OK: Final = b"200"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def get(path: str) -> bytes:
    """Write a GET as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()


def post(path: str, body: object, least: int = 0) -> bytes:
    """Write a POST of JSON as it goes over the wire; blanks after the JSON fill the body up to `least` bytes."""
    data = json.dumps(body).encode().ljust(least)
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def status_of(received: bytes) -> bytes | None:
    """Give the status of an answer, as in b"200"; None while it is not complete."""
    head, separator, body = received.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    complete = separator and len(body) >= int(length[1] if length else 0)
    return head[9:12] if complete else None


class Connection:
    """A kept connection that blocks."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request: bytes) -> bytes:
        """Give the status of the answer. Raises ConnectionError."""
        self._socket.sendall(request)
        received = b""
        while (status := status_of(received)) is None:
            chunk = self._socket.recv(65536)
            if not chunk:
                raise ConnectionError("the api closed the connection")
            received += chunk
        return status


class Line:
    """A kept connection of an event loop. A plain stream: what uses it measures others."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    @property
    def is_open(self) -> bool:
        """Whether the api has not closed it; it does so after five idle seconds."""
        return not self._reader.at_eof()

    async def ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Give the status and the body of the answer. Raises OSError, EOFError."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        return head[9:12], await self._reader.readexactly(int(length[1]) if length else 0)
