"""As little HTTP/1.1 as a load generator needs: one request at a time on a kept connection."""

import json
import re
import socket
from typing import Final

OK: Final = b"200"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def post(path: str, body: object) -> bytes:
    """Write a POST of JSON as it goes over the wire."""
    data = json.dumps(body).encode()
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
