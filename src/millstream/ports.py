"""Taking the api's port: the api does it before anything else, the dev server to name a busy one early."""

import contextlib
import errno
import socket
from collections.abc import Iterator

from millstream.errors import ConfigurationError


@contextlib.contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """Bind a port; 0 picks a free one. Raises ConfigurationError when it is taken already."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ConfigurationError(
                    f"The api cannot listen on {host}:{port}: {error.strerror}"
                ) from error
            raise ConfigurationError(
                f"Port {port} on {host} is already in use; stop what uses it or set MILLSTREAM_API_PORT"
            ) from error
        yield taken
