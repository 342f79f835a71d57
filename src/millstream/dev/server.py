"""The dev server: takes the port, brings up Redis, starts the services, and ends them in order."""

import asyncio
import http.client
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from millstream.clock import now_ms
from millstream.dev.backing import Backing, given, own
from millstream.dev.banner import banner
from millstream.dev.children import BrokenEngineError, Household, say
from millstream.dev.home import NAME, held
from millstream.dev.interrupts import Interrupts
from millstream.errors import RedisUnavailableError
from millstream.logs import configure
from millstream.ports import bound
from millstream.settings import Settings
from millstream.store import Store

DEMO: Final = "millstream.demo"
SERVICES: Final = ("scheduler", "runner", "api")
READY_SECONDS: Final = 60.0
MARGIN_SECONDS: Final = 10.0  # beyond the grace period: a runner may report for 5 s more
WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (asked on loopback)


def run(settings: Settings) -> int:
    """Run the whole engine until a signal; the exit code: 0 when asked to stop, 1 when a service ended by itself.

    Raises ConfigurationError for what the user must change.
    """
    configure(settings.log_format)
    return asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    interrupts = Interrupts()
    interrupts.listen()
    household = Household(settings.grace_seconds + MARGIN_SECONDS)
    async with AsyncExitStack() as last:
        try:
            await interrupts.cut_short(_live(settings, household, last))
        except BrokenEngineError as error:
            say(f"millstream: {error}")
            return 1
        finally:
            await household.stop(interrupts.hurry)
    say("Stopped")
    return 0


async def _live(settings: Settings, household: Household, last: AsyncExitStack) -> None:
    backing = await _backing(settings, household, last)
    before = now_ms()
    await _start_services(backing, household)
    offered = await _ready(backing.settings, household, before)
    say(banner(backing, offered, demo=not settings.tasks))
    await household.watch()


async def _backing(settings: Settings, household: Household, last: AsyncExitStack) -> Backing:
    if "redis_url" in settings.model_fields_set:
        return await given(with_free_port(settings))
    home = await last.enter_async_context(held(Path.cwd() / NAME))
    # After the lock, because the api of a dev server that was killed holds its port for a moment too.
    return await own(with_free_port(settings), home, household)


def with_free_port(settings: Settings) -> Settings:
    """Check that API_PORT can be listened on; 0 picks one. Raises ConfigurationError when it is taken."""
    with bound(settings.api_host, settings.api_port) as probe:
        return settings.model_copy(update={"api_port": probe.getsockname()[1]})


def environment(settings: Settings) -> dict[str, str]:
    """Give the children's environment: this process's own, with these settings spelled out in it."""
    # The one use of os.environ outside settings: children need PATH, HOME and the like, and so do user tasks.
    env = os.environ.copy()
    told = settings.model_dump() | {
        "tasks": ",".join(settings.tasks or (DEMO,)),
        "health_port": 0,  # scheduler and runner would both take it
    }
    return env | {f"MILLSTREAM_{name.upper()}": str(value) for name, value in told.items()}


async def _start_services(backing: Backing, household: Household) -> None:
    env = environment(backing.settings)
    for name in SERVICES:
        # The api keeps the directory locked too, as long as it has the port that the next dev server wants.
        inherits = backing.locks if name == "api" else ()
        # -P, because a folder `api` or `runner` of the user's must not be taken for ours.
        await household.start(name, [sys.executable, "-P", "-m", name], env, inherits=inherits)


async def _ready(settings: Settings, household: Household, before: int) -> list[str]:
    """Wait for the api and the runner; what is offered. Raises BrokenEngineError when they are not there in time."""
    store = Store(settings, "dev")
    offered: list[str] = []

    async def ready() -> bool:
        try:
            offered[:] = offered_since(await store.catalog(), before)
        except RedisUnavailableError:
            return False
        return bool(offered) and await asyncio.to_thread(_api_is_ready, settings)

    late = f"api and runner were not ready within {READY_SECONDS:.0f} s; their log above tells why"
    try:
        await household.until(ready, READY_SECONDS, late)
    finally:
        await store.close()
    return offered


def offered_since(catalog: dict[str, Any], before: int) -> list[str]:
    """Name what runners have offered since, as the catalog also keeps what was offered in earlier days."""
    return sorted(name for name, entry in catalog.items() if entry["offered"] >= before)


def _api_is_ready(settings: Settings) -> bool:
    host = WILDCARDS.get(settings.api_host, settings.api_host)
    asking = http.client.HTTPConnection(host, settings.api_port, timeout=2)
    try:
        asking.request("GET", "/health/ready")
        return asking.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        asking.close()
