"""The api as a process of its own: uvicorn, on a port that was taken before anything else."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator

import structlog
import uvicorn

from api.app import create_app
from millstream.errors import ConfigurationError
from millstream.health import QuietServer
from millstream.lifecycle import Stop
from millstream.settings import Settings

log = structlog.get_logger()


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Take a port. Raises ConfigurationError when it is taken already."""
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


async def serve(settings: Settings, stop: Stop) -> None:
    """Serve HTTP until asked to stop. Raises ConfigurationError when the port is taken."""
    with listening(settings.api_host, settings.api_port) as taken:
        config = uvicorn.Config(
            create_app(settings), log_config=None, access_log=False, timeout_graceful_shutdown=5
        )
        server = QuietServer(config)

        async def ask_to_exit() -> None:
            await stop.wait()
            server.should_exit = True

        asking = asyncio.create_task(ask_to_exit())
        await server.serve(sockets=[taken])
        asking.cancel()
        log.info("api_stopped")
