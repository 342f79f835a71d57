"""The api as a process of its own: uvicorn, on a port that was taken before anything else."""

import asyncio

import structlog
import uvicorn

from api.app import create_app
from millstream.ports import bound
from millstream.process.health import QuietServer
from millstream.process.lifecycle import Stop
from millstream.settings import Settings

log = structlog.get_logger()


async def serve(settings: Settings, stop: Stop) -> None:
    """Serve HTTP until asked to stop. Raises ConfigurationError when the port is taken."""
    with bound(settings.api_host, settings.api_port) as taken:
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
